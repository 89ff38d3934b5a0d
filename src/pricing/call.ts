import { ValidationError } from '../common/errors/service-error.js';
import type { Quantities, ServiceTier } from './price-classes.js';
import { normaliseUsage, type Provider, UsageProblem } from './provider-usage.js';

/** The tokens of a call: all together, or by class. Classes are exclusive: cached input is not in `inputTokens`. */
export interface TokenCounts {
  tokens?: number | undefined;
  inputTokens?: number | undefined;
  outputTokens?: number | undefined;
  cachedInputTokens?: number | undefined;
}

export const SEARCH_CONTEXT_SIZES = ['low', 'medium', 'high'] as const;
export type SearchContextSize = (typeof SEARCH_CONTEXT_SIZES)[number];

/** Where the counts of a call come from: the provider, also when it was read on after the client had left, or an estimate. */
export const USAGE_SOURCES = ['provider', 'drained', 'estimated'] as const;
export type UsageSource = (typeof USAGE_SOURCES)[number];

/** What a request says of a call: token counts, which are the short form, everything by class, or the provider's usage. */
export interface CallRequest extends TokenCounts {
  quantities?: Quantities | undefined;
  provider?: Provider | undefined;
  usage?: Record<string, unknown> | undefined;
  serviceTier?: ServiceTier | undefined;
  usageSource?: UsageSource | undefined;
  searchContextSize?: SearchContextSize | undefined;
  images?: number | undefined;
  seconds?: number | undefined;
}

/** A finished call, as its price needs it. */
export interface Call {
  quantities: Quantities;
  serviceTier: ServiceTier;
  /** Tokens that no class explains, or that contradict themselves: they are in `quantities` as `tokens`. */
  unexplainedTokens: number;
  usageSource?: UsageSource | null;
}

/** @throws ValidationError for what is no usage of its provider, or said twice */
export function callOf(request: CallRequest): Call {
  const { quantities, unexplainedTokens } = described(request);
  for (const field of ['images', 'seconds'] as const) {
    if (request[field] === undefined) continue;
    if (quantities[field] !== undefined) throw problem(field, 'is in the usage or the quantities already');
    quantities[field] = request[field];
  }
  if (request.searchContextSize !== undefined) {
    const isCounted = SEARCH_CONTEXT_SIZES.some(
      (size) => request.quantities?.[`search_${size}`] !== undefined,
    );
    if (isCounted) throw problem('searchContextSize', 'is in the quantities already');
    setSearchSize(quantities, request.searchContextSize);
  }
  const usageSource = request.usageSource ?? (request.usage === undefined ? null : 'provider');
  return { quantities, serviceTier: request.serviceTier ?? 'standard', unexplainedTokens, usageSource };
}

function described(request: CallRequest): { quantities: Quantities; unexplainedTokens: number } {
  const { provider, usage } = request;
  if (provider !== undefined && usage !== undefined) {
    try {
      const { quantities, unexplainedTokens } = normaliseUsage(provider, usage);
      return unexplainedTokens === 0
        ? { quantities, unexplainedTokens }
        : { quantities: { ...quantities, tokens: unexplainedTokens }, unexplainedTokens };
    } catch (error) {
      if (error instanceof UsageProblem) throw problem('usage', error.message);
      throw error;
    }
  }
  const { tokens, inputTokens, outputTokens, cachedInputTokens } = request;
  const counts = { tokens, input: inputTokens, output: outputTokens, cached_input: cachedInputTokens };
  return { quantities: { ...(request.quantities ?? counts) }, unexplainedTokens: 0 };
}

/** Providers report how many searches a call made, not of which size: that is the caller's to say. */
function setSearchSize(quantities: Quantities, size: SearchContextSize): void {
  const searches = quantities.search_medium ?? 1;
  delete quantities.search_medium;
  quantities[`search_${size}`] = searches;
}

const problem = (field: string, message: string) => new ValidationError([{ field, message }]);
