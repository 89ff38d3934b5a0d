/**
 * SQL that calls `usage_record` as the service does, for tests that write many records at once. Each argument is an SQL
 * expression.
 */
export function recordUsage(
  user: string,
  timestamp: string,
  service: string,
  operation: string,
  credits: string,
  metadata = `'{}'::jsonb`,
): string {
  return `usage_record((${user})::varchar, jsonb_build_object('accountId', ${user}, 'userId', ${user}, 'timestamp', ${timestamp},
    'service', ${service}, 'recordedOperation', ${operation}, 'credits', ${credits}, 'metadata', ${metadata}))`;
}

/** SQL that allocates as the service does. Each argument is an SQL expression. */
export function allocateCredits(
  user: string,
  credits: string,
  days = '30',
  email = 'NULL',
  username = 'NULL',
): string {
  return `credit_allocate((${user})::varchar, jsonb_build_object('accountId', (${user})::varchar, 'credits', ${credits}, 'expiryDays', ${days},
    'actor', 'boss', 'email', ${email}, 'username', ${username}))`;
}

/** A function for tests that writes a usage record of any kind, and counts it as operations do. */
export const WRITE_USAGE = `
  CREATE FUNCTION write_usage(r usage_records) RETURNS usage_records LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO usage_records
      (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status, uncollected_credits,
       provider_cost_usd, provider_cost_source, session_id, pricing_source, api_key_id, request_id, request_hash,
       counted_as_other)
    VALUES
      (r.account_id, r.account_id, r.timestamp, r.service, r.operation, r.credits, coalesce(r.metadata, '{}'),
       r.billing_status, coalesce(r.uncollected_credits, 0), r.provider_cost_usd, r.provider_cost_source, r.session_id,
       r.pricing_source, r.api_key_id, r.request_id, r.request_hash,
       count_usage(r.account_id, r.account_id, r.unit_id, r.timestamp, r.service, r.operation,
                   sums_of_record(r.credits, coalesce(r.uncollected_credits, 0), r.billing_status, r.provider_cost_usd,
                                  r.pricing_source)))
    RETURNING * INTO r;
    RETURN r;
  END $$`;
