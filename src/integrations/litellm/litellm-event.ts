import { createHash } from 'node:crypto';
import { type GatewayName, GROUP_KINDS, requestIdPrefix } from '../../common/gateways.js';
import { idProblem, userIdProblem } from '../../common/http/text.js';
import { MAXIMUM_TOKENS, MODEL_ID_LENGTH } from '../../common/http/validators.js';
import { Decimal } from '../../common/money/decimal.js';
import { SERVICE_TIERS, type ServiceTier } from '../../pricing/price-classes.js';
import { normaliseUsage, type NormalUsage, UsageProblem } from '../../pricing/provider-usage.js';
import type { Call, Reading } from '../gateway.js';
import { numberText } from './exact-json.js';

export const SOURCE = 'litellm' satisfies GatewayName;

const REQUEST_ID_PREFIX = requestIdPrefix(SOURCE);
/** Longest text that is kept of a field; longer ones are cut. */
const TEXT_LENGTH = 200;
/** Longest id that is used as it is; of a longer one, its SHA-256 is. */
const PLAIN_ID_LENGTH = 120;
const DAY_MILLISECONDS = 86_400_000;
const EARLIEST = Date.UTC(2020, 0);
const MAXIMUM_COST_USD = Decimal.of(1_000_000);
const IS_DIGEST = /^[0-9a-f]{64}$/;
/** Stands for what cannot be stored: the character that Unicode has for it. */
const UNSTORABLE = '\ufffd';
/** What the proxy calls a caller that uses its master key: no user of ours. */
export const PROXY_ADMIN = 'default_user_id';
/** The client hung up before the end of a stream. */
const CLIENT_CLOSED = '499';

/** Where each fact stands in a standard logging payload; nothing else of one is ever kept. */
const FIELDS = {
  id: ['id'],
  litellmCallId: ['litellm_call_id'],
  callType: ['call_type'],
  status: ['status'],
  cacheHit: ['cache_hit'],
  stream: ['stream'],
  model: ['model'],
  priceKey: ['model_map_information', 'model_map_value', 'key'],
  modelGroup: ['model_group'],
  provider: ['custom_llm_provider'],
  startTime: ['startTime'],
  endTime: ['endTime'],
  promptTokens: ['prompt_tokens'],
  completionTokens: ['completion_tokens'],
  totalTokens: ['total_tokens'],
  responseCost: ['response_cost'],
  errorCode: ['error_information', 'error_code'],
  userId: ['metadata', 'user_api_key_user_id'],
  endUser: ['end_user'],
  keyHash: ['metadata', 'user_api_key_hash'],
  keyAlias: ['metadata', 'user_api_key_alias'],
  teamId: ['metadata', 'user_api_key_team_id'],
  organizationId: ['metadata', 'user_api_key_org_id'],
} as const;

/** Identifies a call. Two calls that differ anywhere, even at the end of a long id, have different identities. */
const IDS: ReadonlySet<string> = new Set(['id', 'litellmCallId'] satisfies (keyof typeof FIELDS)[]);

/**
 * Parts of the prompt and of the answer that have prices of their own, where the usage of the call has them: in OpenAI's or in
 * Anthropic's form, as the proxy sums it up or in the answer itself.
 */
const PARTS = {
  cachedTokens: [['prompt_tokens_details', 'cached_tokens'], ['cache_read_input_tokens']],
  cachedAudioTokens: [['prompt_tokens_details', 'cached_tokens_details', 'audio_tokens']],
  cachedImageTokens: [['prompt_tokens_details', 'cached_tokens_details', 'image_tokens']],
  cacheWriteTokens: [['prompt_tokens_details', 'cache_creation_tokens'], ['cache_creation_input_tokens']],
  cacheWrite1hTokens: [
    ['prompt_tokens_details', 'cache_creation_token_details', 'ephemeral_1h_input_tokens'],
    ['cache_creation', 'ephemeral_1h_input_tokens'],
  ],
  audioInputTokens: [['prompt_tokens_details', 'audio_tokens']],
  imageInputTokens: [['prompt_tokens_details', 'image_tokens']],
  videoInputTokens: [['prompt_tokens_details', 'video_tokens']],
  reasoningTokens: [['completion_tokens_details', 'reasoning_tokens']],
  audioOutputTokens: [['completion_tokens_details', 'audio_tokens']],
  imageOutputTokens: [['completion_tokens_details', 'image_tokens']],
  videoOutputTokens: [['completion_tokens_details', 'video_tokens']],
  webSearches: [
    ['prompt_tokens_details', 'web_search_requests'],
    ['server_tool_use', 'web_search_requests'],
  ],
} as const;
const PART_NAMES = Object.keys(PARTS) as (keyof typeof PARTS)[];
const USAGES = [
  ['metadata', 'usage_object'],
  ['response', 'usage'],
];
/** Where the service tier stands: that served comes before that asked for, which the provider may not have granted. */
const TIERS = [['response'], ...USAGES, ['model_parameters']].map((owner) => [...owner, 'service_tier']);

/** An event without its contents: the few facts that accounting needs, each a short text; numbers as they were written. */
export type LitellmEvent = Record<keyof typeof FIELDS | keyof typeof PARTS | 'serviceTier', string | null>;

/** Takes the known facts out of whatever was posted. Prompts, answers and error texts stay behind. */
export function reduceEvent(element: unknown): LitellmEvent {
  const facts = Object.fromEntries(
    Object.entries(FIELDS).map(([name, path]) => {
      const value = valueAt(element, path);
      return [name, IDS.has(name) ? idOf(value) : textOf(value)];
    }),
  );
  const parts = PART_NAMES.map((name) => {
    const paths = USAGES.flatMap((usage) => PARTS[name].map((path) => [...usage, ...path]));
    return [name, paths.map((path) => textOf(valueAt(element, path))).find((text) => text !== null) ?? null];
  });
  const tiers = TIERS.map((path) => tierOf(textOf(valueAt(element, path))));
  const serviceTier = tiers.find((tier) => tier !== undefined) ?? null;
  return { ...facts, ...(Object.fromEntries(parts) as object), serviceTier } as LitellmEvent;
}

/**
 * What an event means for accounting.
 *
 * @param now milliseconds; no call has ended more than a day later
 * @param trustsEndUser whether the client's own word counts where the proxy names no user
 */
export function readEvent(event: LitellmEvent, now: number, trustsEndUser: boolean): Reading {
  const tokens = tokensOf(event);
  const isFailure = event.status === 'failure';
  if (isFailure && tokenTexts(event).every((text) => countOf(text) === 0)) return { kind: 'nothing' };
  const problem = problemOf(event, now);
  if (problem !== undefined || tokens === undefined) {
    return { kind: 'unclear', problem: problem ?? TOKENS_PROBLEM };
  }
  const cost = costOf(event, tokens.sum > 0);
  if (tokens.sum === 0 && (cost === null || cost === '0')) return { kind: 'nothing' };
  const fingerprint = fingerprintOf(event);
  const call: Call = {
    fingerprint,
    requestId: REQUEST_ID_PREFIX + (ownId(event) ?? fingerprint),
    fallbackRequestId: REQUEST_ID_PREFIX + fingerprint,
    ...modelsOf(event),
    userId: asUserId(claimedUser(event, trustsEndUser)),
    keyHash: IS_DIGEST.test(event.keyHash ?? '') ? event.keyHash : null,
    groups: groupsOf(event),
    timestamp: instantOf(event.endTime) as string,
    quantities: tokens.quantities,
    serviceTier: tierOf(event.serviceTier ?? null) ?? 'standard',
    unexplainedTokens: tokens.unexplainedTokens,
    providerCostUsd: cost,
    billingStatus: isFailure || tokens.sum === 0 ? 'needs_review' : 'billed',
    service: serviceOf(event.callType),
    metadata: metadataOf(event, tokens.sum),
  };
  return { kind: 'call', call };
}

/** The user that an event names: the owner of the key, or, where it is trusted, whom the client names; null: none. */
export function claimedUser(event: LitellmEvent, trustsEndUser: boolean): string | null {
  return vouchedUser(event) ?? (trustsEndUser ? event.endUser || null : null);
}

/** The owner of the key as the proxy knows it; null when it knows none. */
function vouchedUser({ userId }: LitellmEvent): string | null {
  return userId === '' || userId === PROXY_ADMIN ? null : userId;
}

/** Its team comes before the organization, which several teams may share. */
function groupsOf({ teamId, organizationId }: LitellmEvent): Call['groups'] {
  const ids = { team: teamId, organization: organizationId };
  return GROUP_KINDS.flatMap((kind) => {
    const id = ids[kind];
    // What was cut is longer than any id that can be set.
    return !id || id.includes(UNSTORABLE) ? [] : [{ kind, id }];
  });
}

function asUserId(text: string | null): string | null {
  return userIdProblem(text) === undefined && !text?.includes(UNSTORABLE) ? text : null;
}

const TOKENS_PROBLEM = 'tokens: must be whole numbers from 0 to 1000000000';

/** `default` is the standard one; undefined for what names none, such as `auto`. */
function tierOf(text: string | null): ServiceTier | undefined {
  return text === 'default' ? 'standard' : SERVICE_TIERS.find((tier) => tier === text);
}

interface Tokens extends NormalUsage {
  /** How many there are. */
  sum: number;
}

/**
 * By class, as the usage of every other call is read: LiteLLM writes all usage in OpenAI's form. A total alone is all
 * together; tokens that the total has beyond prompt and answer are unexplained, and all of them where a part is no count.
 *
 * @returns undefined when one of the numbers is no count, none is there, or they are too many
 */
function tokensOf(event: LitellmEvent): Tokens | undefined {
  const texts = tokenTexts(event);
  const isKnown = texts.some((text) => text !== null);
  const [prompt, output, total] = texts.map(countOf);
  if (prompt === undefined || output === undefined || total === undefined || !isKnown) return undefined;
  if (prompt + output === 0) return { quantities: { tokens: total }, unexplainedTokens: 0, sum: total };
  const sum = Math.max(total, prompt + output);
  const parts = partsOf(event);
  if (parts === undefined) return { quantities: { tokens: sum }, unexplainedTokens: sum, sum };
  const usage = {
    prompt_tokens: prompt,
    completion_tokens: output,
    // A lower one is the proxy's mistake: each class was counted.
    total_tokens: sum,
    prompt_tokens_details: {
      cached_tokens: parts.cachedTokens,
      cached_tokens_details: { audio_tokens: parts.cachedAudioTokens, image_tokens: parts.cachedImageTokens },
      cache_creation_tokens: parts.cacheWriteTokens,
      cache_creation_token_details: { ephemeral_1h_input_tokens: parts.cacheWrite1hTokens },
      audio_tokens: parts.audioInputTokens,
      image_tokens: parts.imageInputTokens,
      video_tokens: parts.videoInputTokens,
    },
    completion_tokens_details: {
      reasoning_tokens: parts.reasoningTokens,
      audio_tokens: parts.audioOutputTokens,
      image_tokens: parts.imageOutputTokens,
      video_tokens: parts.videoOutputTokens,
    },
  };
  try {
    const { quantities, unexplainedTokens } = normaliseUsage('openai', usage);
    if (unexplainedTokens > 0) quantities.tokens = unexplainedTokens;
    if (parts.webSearches > 0) quantities.search_medium = parts.webSearches;
    return { quantities, unexplainedTokens, sum };
  } catch (error) {
    if (error instanceof UsageProblem) return undefined;
    throw error;
  }
}

/** @returns undefined when one of them is no count */
function partsOf(event: LitellmEvent): Record<keyof typeof PARTS, number> | undefined {
  // What was kept by an earlier release has fewer.
  const counts = PART_NAMES.map((name) => [name, countOf(event[name] ?? null)] as const);
  return counts.some(([, count]) => count === undefined)
    ? undefined
    : (Object.fromEntries(counts) as Record<keyof typeof PARTS, number>);
}

function tokenTexts({ promptTokens, completionTokens, totalTokens }: LitellmEvent) {
  return [promptTokens, completionTokens, totalTokens];
}

function countOf(text: string | null): number | undefined {
  const plain = text === null ? '0' : (Decimal.parse(text)?.toString() ?? '');
  return /^\d{1,10}$/.test(plain) && Number(plain) <= MAXIMUM_TOKENS ? Number(plain) : undefined;
}

function problemOf(event: LitellmEvent, now: number): string | undefined {
  if (event.status !== 'success' && event.status !== 'failure') return 'status: must be success or failure';
  const { model } = modelsOf(event);
  const problem = idProblem(model, MODEL_ID_LENGTH);
  if (problem !== undefined || model.includes(UNSTORABLE))
    return `model: ${problem ?? 'must be a text that can be stored'}`;
  for (const name of ['startTime', 'endTime'] as const) {
    const time = Date.parse(instantOf(event[name]) ?? '');
    if (!(time >= EARLIEST && time <= now + DAY_MILLISECONDS)) return `${name}: must be a time that has been`;
  }
  return undefined;
}

/**
 * 0 with tokens is what the proxy says when it does not know, and an answer from its own cache is what really costs
 * nothing. What is no plausible amount is not known either.
 */
function costOf({ responseCost, cacheHit }: LitellmEvent, isCharged: boolean): string | null {
  const cost = responseCost === null ? undefined : Decimal.parse(responseCost);
  if (cost === undefined || cost.isNegative || cost.compare(MAXIMUM_COST_USD) > 0) return null;
  return cost.isZero && isCharged && cacheHit !== 'true' ? null : cost.toString();
}

/** Source, key, call id, start and end, model, tokens. */
function fingerprintOf(event: LitellmEvent): string {
  const number = (text: string | null) => (text === null ? null : (Decimal.parse(text)?.toString() ?? text));
  return sha256(
    JSON.stringify([
      SOURCE,
      event.keyHash,
      event.id,
      event.litellmCallId,
      number(event.startTime),
      number(event.endTime),
      event.model,
      number(event.promptTokens),
      number(event.completionTokens),
      number(event.cachedTokens),
      number(event.totalTokens),
    ]),
  );
}

/**
 * The id that the provider's answer bore; null when there is none, which also arrives as the text "None". The proxy's own
 * call id is what the client wrote into a header, if it did: it says of no two calls that they are one.
 */
function ownId({ id }: LitellmEvent): string | null {
  if (id === null || id === '' || id === 'None' || id === UNSTORABLE) return null;
  // What looks like a fingerprint could take the place of another call's.
  return idProblem(id, PLAIN_ID_LENGTH) === undefined && !IS_DIGEST.test(id) ? id : sha256(id);
}

/**
 * The proxy's `model` bears the provider before a slash (`openai/gpt-4o-mini`); the price list has most models without
 * it. `priceKey` is the entry of the list that the proxy itself has found.
 */
function modelsOf({ model, provider, priceKey, modelGroup }: LitellmEvent): Pick<Call, 'model' | 'models'> {
  const name = model ?? '';
  const prefix = `${provider}/`;
  const bare = provider !== null && name.startsWith(prefix) ? name.slice(prefix.length) : name;
  const listed = idProblem(priceKey, MODEL_ID_LENGTH) === undefined ? priceKey : null;
  const names = [name, provider === null ? null : prefix + bare, listed, bare, modelGroup];
  const models = names.filter((each) => each !== null && idProblem(each, MODEL_ID_LENGTH) === undefined);
  return {
    model: listed ?? (idProblem(bare, MODEL_ID_LENGTH) === undefined ? bare : name),
    models: models as string[],
  };
}

/** Seconds since 1970 with their fraction, or ISO 8601, as ISO 8601 with microseconds. */
function instantOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const [seconds = '', fraction = ''] = (Decimal.parse(text)?.toString() ?? '').split('.');
  if (!/^\d{1,11}$/.test(seconds)) return isoInstant(text);
  const micros = fraction.slice(0, 6).padEnd(6, '0');
  return new Date(Number(seconds) * 1000).toISOString().replace('.000Z', `.${micros}Z`);
}

function isoInstant(text: string): string | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$/.test(text)) return undefined;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

const CHAT_CALLS = /^a?(completion|text_completion|responses|anthropic_messages|generate_content(_stream)?)$/;

/** Chats count as chats in the statistics, whatever way they came. */
function serviceOf(callType: string | null): string {
  if (CHAT_CALLS.test(callType ?? '')) return 'chat';
  return /^a?embedding$/.test(callType ?? '') ? 'embeddings' : SOURCE;
}

function metadataOf(event: LitellmEvent, tokens: number): Record<string, unknown> {
  const facts = {
    source: SOURCE,
    tokens,
    callId: event.id,
    litellmCallId: event.litellmCallId,
    callType: event.callType,
    model: event.model,
    modelGroup: event.modelGroup,
    provider: event.provider,
    endUser: event.endUser || null,
    keyAlias: event.keyAlias,
    teamId: event.teamId,
    organizationId: event.organizationId ?? null,
    streamed: event.stream === 'true' || null,
    cacheHit: event.cacheHit === 'true' || null,
    aborted: event.errorCode === CLIENT_CLOSED || null,
    failed: event.status === 'failure' || null,
  };
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null));
}

function valueAt(element: unknown, path: readonly string[]): unknown {
  let value = element;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return null;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A text that can be stored; a mark for what is neither text, number nor truth value, so that it is no missing field. */
function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'object') return UNSTORABLE;
  const text = numberText(value) ?? (typeof value === 'string' ? value : JSON.stringify(value));
  const cut = text.length > TEXT_LENGTH ? `${text.slice(0, TEXT_LENGTH)}…` : text;
  return cut.toWellFormed().replaceAll('\u0000', UNSTORABLE);
}

/** An id as it is, or, where it could not be kept whole, its digest. */
function idOf(value: unknown): string | null {
  const kept = textOf(value);
  return typeof value === 'string' && kept !== value ? sha256(value) : kept;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
