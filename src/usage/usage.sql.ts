/**
 * A row of usage_records as the SQL functions answer it: the service's role may read the table, not call their parts.
 * What is only written out is json here: making jsonb of it first takes a fifth of a user's statistics.
 */
export const RECORD_JSON = `json_build_object(
        'id', id, 'version', version, 'userId', user_id, 'timestamp', timestamp, 'service', service, 'operation', operation,
        'credits', credits, 'metadata', metadata, 'billingStatus', billing_status,
        'uncollectedCredits', uncollected_credits, 'providerCostUsd', trim_scale(provider_cost_usd)::text,
        'providerCostSource', provider_cost_source, 'requestId', request_id, 'apiKeyId', api_key_id,
        'sessionId', session_id, 'pricingRuleId', pricing_rule_id, 'pricingSource', pricing_source,
        'reviewAction', review_action, 'reviewedBy', reviewed_by, 'reviewedAt', reviewed_at)`;

/** A map of name → credits, out of `sums`: what a range adds up to by day, service and operation. */
export const creditsBy = (key: string, where = 'true') =>
  `coalesce((SELECT json_object_agg(k, c ORDER BY k) FROM (
     SELECT ${key} AS k, sum(credits) AS c FROM sums WHERE ${where} GROUP BY 1) g), '{}')`;

/** What the design calls a model: the operation of chat calls. */
export const IS_CHAT = `service IN ('chat', 'chat-streaming')`;

/** Models that `byDayAndModel` names; the rest is added up, so that a year of many models stays a small answer. */
const NAMED_MODELS = 20;
/** The name of the rest. A model that is called so is part of it, or it would not be known what the name stands for. */
const OTHER_MODELS = 'other';

/** Credits of chats by day, and in each by model. Names that are equally large are taken in the order of their bytes. */
export const BY_DAY_AND_MODEL = `coalesce((SELECT json_object_agg(to_char(day, 'YYYY-MM-DD'), models ORDER BY day) FROM (
     SELECT day, json_object_agg(model, credits ORDER BY model) AS models FROM (
       SELECT day, sum(credits) AS credits, CASE WHEN operation IN (
                SELECT operation FROM sums WHERE ${IS_CHAT} AND operation <> '${OTHER_MODELS}'
                 GROUP BY 1 ORDER BY sum(credits) DESC, operation COLLATE "C" LIMIT ${NAMED_MODELS})
              THEN operation ELSE '${OTHER_MODELS}' END AS model
         FROM sums WHERE ${IS_CHAT} GROUP BY 1, 3) c GROUP BY 1) d), '{}')`;
