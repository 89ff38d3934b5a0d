import { isLosslessNumber } from 'lossless-json';
import { pathIdProblem } from '../common/http/text.js';
import { MODEL_ID_LENGTH } from '../common/http/validators.js';
import { Decimal, greatest } from '../common/money/decimal.js';
import type { ModelFilter } from './model-filter.js';

/**
 * Prices per token are below this in USD, or the file has a price of another unit in their place: the dearest models sold
 * cost 0.0006.
 */
export const MAXIMUM_USD_PER_TOKEN = '0.001';
/** As the database has it. */
const MAXIMUM_CREDITS_PER_THOUSAND = '1000000';

/** LiteLLM's price map: model id → what it says of the model, every number as its text. */
export type PriceMap = Record<string, unknown>;

/** How USD become credits, and what is left out. */
export interface ImportTerms {
  readonly creditsPerUsd: number;
  readonly markup: string;
  readonly includeFree: boolean;
  readonly selects: ModelFilter;
}

/** Decimals as text; credits per 1,000 tokens, and what the provider charges in USD per 1,000 tokens. */
export interface ModelPrice {
  readonly modelId: string;
  readonly price: string;
  readonly inputPrice: string | null;
  readonly outputPrice: string | null;
  readonly cachedInputPrice: string | null;
  readonly providerCost: string;
  readonly providerInputCost: string | null;
  readonly providerOutputCost: string | null;
  readonly providerCachedCost: string | null;
}

export interface ReadPrices {
  readonly prices: ModelPrice[];
  readonly skipped: { modelId: string; reason: string }[];
  readonly notes: { modelId: string; note: string }[];
}

/** Why a model cannot be imported. */
class Unusable {
  constructor(readonly reason: string) {}
}

type Entry = Record<string, unknown>;

/** USD per token by class; undefined: the file does not say. */
interface TokenCosts {
  readonly input: Decimal | undefined;
  readonly output: Decimal | undefined;
  cachedInput: Decimal | undefined;
}

const FIELDS = {
  input: 'input_cost_per_token',
  output: 'output_cost_per_token',
  cachedInput: 'cache_read_input_token_cost',
} as const;
/** What these charge for is text, token by token. Others count pictures, seconds or pages, or have dearer tokens too. */
const TOKEN_MODES = ['chat', 'completion', 'responses', 'embedding', 'rerank', 'moderation'];
/** What these give back is no text and costs nothing. */
const INPUT_ONLY_MODES = ['embedding', 'rerank', 'moderation'];
const FREE = 'free or unknown, includeFree=true imports it';

/** Reads the prices of the models that are asked for; one that is not plainly a price is skipped and never guessed. */
export function readPriceMap(map: PriceMap, terms: ImportTerms): ReadPrices {
  const read: ReadPrices = { prices: [], skipped: [], notes: [] };
  for (const [modelId, entry] of Object.entries(map)) {
    // No more of a text than could be an id: it may have millions of characters.
    const shown = modelId.slice(0, 2 * MODEL_ID_LENGTH);
    if (!terms.selects(shown)) continue;
    const notes: string[] = [];
    const price = priceOf(modelId, entry, terms, notes);
    if (price instanceof Unusable) {
      read.skipped.push({ modelId: shown, reason: price.reason });
      continue;
    }
    read.prices.push(price);
    read.notes.push(...notes.map((note) => ({ modelId, note })));
  }
  return read;
}

function priceOf(
  modelId: string,
  entry: unknown,
  terms: ImportTerms,
  notes: string[],
): ModelPrice | Unusable {
  const problem = pathIdProblem(modelId, MODEL_ID_LENGTH);
  if (problem !== undefined) return new Unusable(`the model id ${problem}`);
  if (!isModel(modelId, entry)) return new Unusable('is not a model');
  const { mode } = entry;
  // An entry of one's own may leave the mode out.
  if (mode !== undefined && mode !== null && !TOKEN_MODES.includes(mode as string)) {
    return new Unusable(`is not charged by text tokens: ${modeName(mode)}`);
  }
  const costs = tokenCosts(entry);
  if (costs instanceof Unusable) return costs;
  const reason = incomplete(costs, entry, terms.includeFree);
  if (reason !== undefined) return new Unusable(reason);
  if (costs.cachedInput?.isZero && !costs.input?.isZero && !terms.includeFree) {
    costs.cachedInput = undefined;
    notes.push(`costs 0 for cached input (${FREE}): priced as other input`);
  }
  if (Object.keys(entry).some(isTier))
    notes.push('has other prices for long prompts: the base price applies');
  return modelPrice(modelId, costs, terms);
}

/** The map documents itself in an entry, and may carry rules beside the models. */
function isModel(modelId: string, entry: unknown): entry is Entry {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry) || isLosslessNumber(entry))
    return false;
  const isDescribed = ['mode', 'litellm_provider', ...Object.values(FIELDS)].some((field) => field in entry);
  return modelId !== 'sample_spec' && isDescribed;
}

function modeName(mode: unknown): string {
  return typeof mode === 'string' && /^[a-z_]{1,40}$/.test(mode) ? `mode ${mode}` : 'unknown mode';
}

function tokenCosts(entry: Entry): TokenCosts | Unusable {
  const costs: Record<string, Decimal | undefined> = {};
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = entry[field];
    if (value === undefined || value === null) continue;
    if (!isLosslessNumber(value)) return new Unusable(`${field} is not a number`);
    const cost = Decimal.parse(value.value);
    if (cost === undefined) return new Unusable(`${field} has more digits than a price`);
    if (cost.isNegative) return new Unusable(`${field} is negative`);
    if (cost.compare(Decimal.of(MAXIMUM_USD_PER_TOKEN)) > 0) {
      return new Unusable(
        `${field} is implausible: above the ceiling of ${MAXIMUM_USD_PER_TOKEN} USD a token`,
      );
    }
    costs[name] = cost;
  }
  return { input: costs.input, output: costs.output, cachedInput: costs.cachedInput };
}

/** What the costs lack to be a price of the whole model, or undefined when nothing. */
function incomplete(costs: TokenCosts, entry: Entry, includeFree: boolean): string | undefined {
  const { input, output } = costs;
  const hasOtherUnit = Object.entries(entry).some(([field, value]) => isOtherUnit(field) && isCharged(value));
  if (input === undefined && output === undefined) {
    if ('tiered_pricing' in entry || Object.keys(entry).some(isTier)) return 'has tiered prices only';
    return hasOtherUnit ? 'is not charged by token' : 'has no price';
  }
  const costsInput = input !== undefined && !input.isZero;
  const costsOutput = output !== undefined && !output.isZero;
  if (costsInput && (costsOutput || INPUT_ONLY_MODES.includes(entry.mode as string))) return undefined;
  // What costs nothing by token and something otherwise is not free.
  if (hasOtherUnit) return 'is not charged by token alone';
  if (!costsInput && !costsOutput) return includeFree ? undefined : `costs 0: ${FREE}`;
  if (input === undefined) return 'has no price for input';
  if (output === undefined) return 'has no price for output';
  return includeFree ? undefined : `costs 0 for ${costsInput ? 'output' : 'input'}: ${FREE}`;
}

/** `input_cost_per_token_above_200k_tokens` and the like, but not by the second or the service tier. */
function isTier(field: string): boolean {
  return /_token(_cost)?_above_\d+k_tokens$/.test(field);
}

/** `input_cost_per_second`, `ocr_cost_per_page`… */
function isOtherUnit(field: string): boolean {
  return /_cost_per_/.test(field) && !/token/.test(field);
}

function isCharged(value: unknown): boolean {
  return isLosslessNumber(value) && Number(value.value) > 0;
}

/**
 * Credits and USD per 1,000 tokens. The blended price is the higher one, so that who only knows a total never pays too
 * little; the blended cost likewise, so that the margin stays the mark-up.
 */
function modelPrice(modelId: string, costs: TokenCosts, terms: ImportTerms): ModelPrice | Unusable {
  const thousand = Decimal.of(1000);
  const rate = thousand.times(Decimal.of(terms.creditsPerUsd)).times(Decimal.of(terms.markup));
  const { input, output, cachedInput } = costs;
  const blended = greatest([input, output, cachedInput].filter((cost) => cost !== undefined)) as Decimal;
  if (blended.times(rate).compare(Decimal.of(MAXIMUM_CREDITS_PER_THOUSAND)) > 0) {
    return new Unusable(`would cost more than ${MAXIMUM_CREDITS_PER_THOUSAND} credits per 1,000 tokens`);
  }
  const inCredits = (cost: Decimal | undefined) => cost?.times(rate).toString() ?? null;
  const inUsd = (cost: Decimal | undefined) => cost?.times(thousand).toString() ?? null;
  return {
    modelId,
    price: blended.times(rate).toString(),
    inputPrice: inCredits(input),
    outputPrice: inCredits(output),
    cachedInputPrice: inCredits(cachedInput),
    providerCost: blended.times(thousand).toString(),
    providerInputCost: inUsd(input),
    providerOutputCost: inUsd(output),
    providerCachedCost: inUsd(cachedInput),
  };
}
