import { isLosslessNumber } from 'lossless-json';
import { idProblem, pathIdProblem } from '../common/http/text.js';
import { MAXIMUM_TOKENS, MODEL_ID_LENGTH } from '../common/http/validators.js';
import { Decimal, greatest } from '../common/money/decimal.js';
import type { ModelFilter } from './model-filter.js';
import {
  type Component,
  MAXIMUM_COMPONENTS,
  PRICE_CLASSES,
  type PriceClass,
  type ServiceTier,
} from './price-classes.js';

/**
 * Prices per token are below this in USD, or the file has a price of another unit in their place: the dearest models sold
 * cost 0.0006.
 */
export const MAXIMUM_USD_PER_TOKEN = '0.001';
/** As the API has it, for 1,000 tokens; for one of any other unit the database's limit is the same. */
const MAXIMUM_CREDITS = '1000000';

/** LiteLLM's price map: model id → what it says of the model, every number as its text. */
export type PriceMap = Record<string, unknown>;

/** How USD become credits, and what is left out. */
export interface ImportTerms {
  readonly creditsPerUsd: number;
  readonly markup: string;
  readonly includeFree: boolean;
  readonly selects: ModelFilter;
}

export interface ModelPrice {
  readonly modelId: string;
  /** In the order of class, tier and threshold. */
  readonly components: Component[];
}

export interface ReadPrices {
  readonly prices: ModelPrice[];
  readonly skipped: { modelId: string; reason: string }[];
  readonly notes: { modelId: string; note: string }[];
  /** Names that stand in front of models' ids. */
  readonly providers: Set<string>;
}

/** Why a model cannot be imported. */
class Unusable extends Error {}

type Entry = Record<string, unknown>;

/** A price in USD for one unit. */
interface UsdPrice {
  readonly class: PriceClass;
  readonly tier: ServiceTier;
  readonly above: number;
  readonly usd: Decimal;
}

/** The file's fields and what they are prices of; `_above_…k_tokens` and a tier may follow. */
const FIELDS = new Map<string, PriceClass>(
  Object.entries({
    input_cost_per_token: 'input',
    output_cost_per_token: 'output',
    cache_read_input_token_cost: 'cached_input',
    input_cost_per_token_cache_hit: 'cached_input',
    cache_creation_input_token_cost: 'cache_write_5m',
    cache_creation_input_token_cost_above_1hr: 'cache_write_1h',
    output_cost_per_reasoning_token: 'reasoning',
    input_cost_per_audio_token: 'audio_input',
    cache_read_input_audio_token_cost: 'cached_audio_input',
    cache_creation_input_audio_token_cost: 'audio_cache_write',
    output_cost_per_audio_token: 'audio_output',
    input_cost_per_image_token: 'image_input',
    output_cost_per_image_token: 'image_output',
    input_cost_per_video_token: 'video_input',
    output_cost_per_video_token: 'video_output',
    citation_cost_per_token: 'citation',
    input_cost_per_character: 'input_characters',
    output_cost_per_character: 'output_characters',
    input_cost_per_image: 'input_images',
    output_cost_per_image: 'images',
    input_cost_per_pixel: 'pixels',
    output_cost_per_pixel: 'pixels',
    input_cost_per_second: 'seconds',
    output_cost_per_second: 'seconds',
    output_cost_per_video_per_second: 'seconds',
    output_cost_per_second_1080p: 'seconds_1080p',
    input_cost_per_audio_per_second: 'audio_input_seconds',
    input_cost_per_video_per_second: 'video_input_seconds',
    ocr_cost_per_page: 'pages',
    annotation_cost_per_page: 'annotated_pages',
    input_cost_per_query: 'queries',
    input_cost_per_request: 'requests',
    code_interpreter_cost_per_session: 'code_interpreter_sessions',
    search_context_size_low: 'search_low',
    search_context_size_medium: 'search_medium',
    search_context_size_high: 'search_high',
  } as const),
);
const SUFFIXES = /^(?<base>.+?)(?:_above_(?<thousands>\d+)k_tokens)?(?:_(?<tier>batches|flex|priority))?$/;
const TIERS: Record<string, ServiceTier> = { batches: 'batch', flex: 'flex', priority: 'priority' };
/** A field that looks like a price. */
const PRICE_FIELD = /cost|pricing/;
/** Where another price stands in for one that a range of prompts does not have, as LiteLLM charges it. */
const STAND_INS = {
  cached_input: 'input',
  cache_write_5m: 'input',
  cache_write_1h: 'input',
  reasoning: 'output',
} as const;
/** What these give back is no text and costs nothing. */
const INPUT_ONLY_MODES = ['embedding', 'rerank', 'moderation', 'evaluation'];
/** A model with one of these prices is charged for its input in that unit: tokens of input without a price are free. */
const INPUT_IN_OTHER_UNITS = [
  'input_cost_per_query',
  'input_cost_per_request',
  'input_cost_per_second',
  'input_cost_per_character',
  'input_cost_per_image',
  'input_cost_per_audio_per_second',
  'input_cost_per_video_per_second',
];
/**
 * What providers charge for cached input, as a share of the price of input, where the file has no price: Fireworks by
 * https://docs.fireworks.ai/serverless/overview
 */
const CACHED_SHARES = new Map([['fireworks_ai', '0.5']]);
/** Their prices above a threshold begin at it, and not above it. */
const INCLUSIVE_PROVIDERS = ['xai'];
const FREE = 'free or unknown, includeFree=true imports it';

/** Reads the prices of the models that are asked for; what is not plainly a price is skipped and never guessed. */
export function readPriceMap(map: PriceMap, terms: ImportTerms): ReadPrices {
  const read: ReadPrices = { prices: [], skipped: [], notes: [], providers: new Set() };
  for (const [modelId, entry] of Object.entries(map)) {
    // No more of a text than could be an id: it may have millions of characters.
    const shown = modelId.slice(0, 2 * MODEL_ID_LENGTH);
    if (!terms.selects(shown)) continue;
    const notes: string[] = [];
    try {
      read.prices.push(modelPrice(modelId, entry, terms, notes));
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      read.skipped.push({ modelId: shown, reason: error.message });
      continue;
    }
    for (const name of providersOf(modelId, entry as Entry)) read.providers.add(name);
    read.notes.push(...notes.map((note) => ({ modelId, note })));
  }
  return read;
}

function modelPrice(modelId: string, entry: unknown, terms: ImportTerms, notes: string[]): ModelPrice {
  const problem = pathIdProblem(modelId, MODEL_ID_LENGTH);
  if (problem !== undefined) throw new Unusable(`the model id ${problem}`);
  if (modelId.endsWith('*')) throw new Unusable('the model id is a pattern');
  if (!isModel(modelId, entry)) throw new Unusable('is not a model');
  const found = new UsdPrices(entry);
  found.readEntry(notes);
  found.dropZeros(terms.includeFree, notes);
  found.completeTiers();
  return { modelId, components: found.components(terms) };
}

/** The provider's name, and what stands before the slash of the id. */
function providersOf(modelId: string, { litellm_provider: provider }: Entry): string[] {
  const [first, ...rest] = modelId.split('/');
  const names = [provider, rest.length > 0 ? first : undefined];
  return names.filter(
    (name) => typeof name === 'string' && idProblem(name, MODEL_ID_LENGTH) === undefined,
  ) as string[];
}

/** The map documents itself in an entry, and may carry rules beside the models. */
function isModel(modelId: string, entry: unknown): entry is Entry {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry) || isLosslessNumber(entry))
    return false;
  const isDescribed = ['mode', 'litellm_provider', ...FIELDS.keys()].some((field) => field in entry);
  return modelId !== 'sample_spec' && isDescribed;
}

/** The prices of one entry. */
class UsdPrices {
  private readonly prices = new Map<string, UsdPrice>();

  constructor(private readonly entry: Entry) {}

  readEntry(notes: string[]): void {
    const { search_context_cost_per_query: search, tiered_pricing: ranges, ...fields } = this.entry;
    for (const [field, value] of Object.entries(fields)) this.readField(field, value, 0, notes);
    if (isObject(search)) {
      for (const [field, value] of Object.entries(search)) this.readField(field, value, 0, notes);
    }
    if (Array.isArray(ranges)) this.readRanges(ranges, notes);
    this.setImages();
    this.setInput();
  }

  /**
   * Leaves out prices of 0, which mean free or unknown, unless free models are asked for. The class then costs what it
   * falls back to.
   */
  dropZeros(includeFree: boolean, notes: string[]): void {
    const isAnyCharged = [...this.prices.values()].some(({ usd }) => !usd.isZero);
    if (this.prices.size === 0) throw new Unusable('has no price');
    if (!isAnyCharged && !includeFree) throw new Unusable(`costs 0: ${FREE}`);
    if (includeFree) return;
    for (const [key, price] of this.prices) {
      if (!price.usd.isZero || this.isFree(price.class)) continue;
      this.prices.delete(key);
      if (PRICE_CLASSES[price.class] === 'token' && price.tier === 'standard' && price.above === 0) {
        notes.push(`costs 0 for ${named(price.class)} (${FREE}): left out`);
      }
    }
  }

  /**
   * Writes out what LiteLLM falls back to within a tier, so that the tier's own price is always the one to take: a prompt
   * above a threshold costs the standard long price where the tier has none, and reasoning what the tier's output costs.
   */
  completeTiers(): void {
    const standards = [...this.prices.values()].filter(({ tier }) => tier === 'standard');
    if (standards.length === 0) throw new Unusable('has prices for other service tiers only');
    for (const { class: of, above } of this.prices.values()) {
      if (above > 0 && (of === 'input' || of === 'output') && this.get(of, 'standard', 0) === undefined)
        throw new Unusable('has prices for long prompts only');
    }
    const output = this.get('output', 'standard', 0);
    const imageOutput = this.get('image_output', 'standard', 0);
    if (output === undefined && imageOutput !== undefined) this.set({ ...imageOutput, class: 'output' });
    for (const tier of ['flex', 'priority'] as const) {
      for (const price of [...this.prices.values()]) {
        if (price.tier !== 'standard' || price.above === 0) continue;
        if (this.get(price.class, tier, 0) !== undefined && !this.get(price.class, tier, price.above))
          this.set({ ...price, tier });
      }
    }
    if (this.get('reasoning', 'standard', 0) === undefined) return;
    for (const price of [...this.prices.values()]) {
      const { class: of, tier, above } = price;
      if (of === 'output' && tier !== 'standard' && this.get('reasoning', tier, above) === undefined)
        this.set({ ...price, class: 'reasoning' });
    }
  }

  /** In credits, with the blended price: the highest of the text classes, so that a call with only a total never costs too little. */
  components({ creditsPerUsd, markup, includeFree }: ImportTerms): Component[] {
    const blended = greatest(
      (['input', 'output', 'cached_input', 'reasoning'] as const)
        .map((name) => this.get(name, 'standard', 0)?.usd)
        .filter((usd) => usd !== undefined),
    );
    if (blended !== undefined && (!blended.isZero || includeFree))
      this.set({ class: 'tokens', tier: 'standard', above: 0, usd: blended });
    if (this.prices.size > MAXIMUM_COMPONENTS)
      throw new Unusable(`has more than ${MAXIMUM_COMPONENTS} prices`);
    const rate = Decimal.of(creditsPerUsd).times(Decimal.of(markup));
    return [...this.prices.entries()]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([, price]) => {
        const credits = price.usd.times(rate);
        checkSize(price.class, credits);
        const amounts = { price: credits.toString(), cost: price.usd.toString() };
        if (Object.values(amounts).some((amount) => Decimal.parse(amount) === undefined))
          throw new Unusable('has a price of more digits than are read');
        return { class: price.class, serviceTier: price.tier, contextAbove: price.above, ...amounts };
      });
  }

  /** Whether a price of 0 means free, and not unknown. */
  private isFree(name: PriceClass): boolean {
    if (name === 'output') return INPUT_ONLY_MODES.includes(this.entry.mode as string);
    return name === 'input' && INPUT_IN_OTHER_UNITS.some((field) => isCharged(this.entry[field]));
  }

  private readField(field: string, value: unknown, from: number, notes: string[]): void {
    if (value === undefined || value === null) return;
    const { base = '', thousands, tier } = SUFFIXES.exec(field)?.groups ?? {};
    const name = FIELDS.get(base);
    if (name === undefined) {
      if (PRICE_FIELD.test(field) && isCharged(value))
        notes.push(`has a price that is not imported: ${shortName(field)}`);
      return;
    }
    const inclusive = INCLUSIVE_PROVIDERS.includes(this.entry.litellm_provider as string) ? 1 : 0;
    const above = thousands === undefined ? from : Number(thousands) * 1000 - inclusive;
    if (above < 0 || above > MAXIMUM_TOKENS)
      throw new Unusable(`${shortName(field)} is for prompts that no call has`);
    const usd = usdOf(field, value);
    const before = this.get(name, TIERS[tier ?? ''] ?? 'standard', above)?.usd;
    // Two fields for one class, for input and for output: LiteLLM charges for one of them.
    const most = before !== undefined && before.compare(usd) > 0 ? before : usd;
    this.set({ class: name, tier: TIERS[tier ?? ''] ?? 'standard', above, usd: most });
  }

  /** Prices by the size of the prompt: the range that it falls into decides for all of the call. */
  private readRanges(ranges: unknown[], notes: string[]): void {
    const starts: number[] = [];
    for (const each of ranges) {
      const from: unknown = isObject(each) && Array.isArray(each.range) ? each.range[0] : undefined;
      const start = isLosslessNumber(from) ? Number(from.value) : Number.NaN;
      if (!isObject(each) || !Number.isSafeInteger(start) || start < 0)
        throw new Unusable('has prices by something other than the size of the prompt');
      const { range: _, ...fields } = each;
      for (const [field, value] of Object.entries(fields)) this.readField(field, value, start, notes);
      starts.push(start);
    }
    for (const [name, standIn] of Object.entries(STAND_INS) as [keyof typeof STAND_INS, PriceClass][]) {
      if (!starts.some((start) => this.get(name, 'standard', start))) continue;
      for (const above of starts) {
        const price = this.get(standIn, 'standard', above);
        if (price !== undefined && this.get(name, 'standard', above) === undefined)
          this.set({ ...price, class: name });
      }
    }
  }

  /** For what makes images, the price of an image is that of one made, in whichever field it stands. */
  private setImages(): void {
    if (this.entry.mode !== 'image_generation' || this.get('images', 'standard', 0) !== undefined) return;
    const price = this.get('input_images', 'standard', 0);
    if (price === undefined) return;
    this.prices.delete(keyOf(price));
    this.set({ ...price, class: 'images' });
  }

  /** Prices of input that follow from others: without them, it would cost what output does. */
  private setInput(): void {
    const input = this.get('input', 'standard', 0);
    if (input === undefined && this.isFree('input') && this.get('output', 'standard', 0) !== undefined)
      this.set({ class: 'input', tier: 'standard', above: 0, usd: Decimal.of(0) });
    const share = CACHED_SHARES.get(this.entry.litellm_provider as string);
    if (input !== undefined && share !== undefined && !this.get('cached_input', 'standard', 0))
      this.set({ ...input, class: 'cached_input', usd: input.usd.times(Decimal.of(share)) });
  }

  private get(name: PriceClass, tier: ServiceTier, above: number): UsdPrice | undefined {
    return this.prices.get(keyOf({ class: name, tier, above }));
  }

  private set(price: UsdPrice): void {
    this.prices.set(keyOf(price), price);
  }
}

const keyOf = ({ class: name, tier, above }: Omit<UsdPrice, 'usd'>) =>
  `${name} ${tier} ${String(above).padStart(16, '0')}`;

const isObject = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);

const named = (name: PriceClass) => name.replaceAll('_', ' ');
const shortName = (field: string) => field.slice(0, 80).replace(/[^\w.]/g, '?');

/** Whether it is a price above 0, or has one. */
function isCharged(value: unknown): boolean {
  return isLosslessNumber(value)
    ? Number(value.value) > 0
    : isObject(value) && Object.values(value).some(isCharged);
}

function usdOf(field: string, value: unknown): Decimal {
  if (!isLosslessNumber(value)) throw new Unusable(`${field} is not a number`);
  const cost = Decimal.parse(value.value);
  if (cost === undefined) throw new Unusable(`${field} has more digits than a price`);
  if (cost.isNegative) throw new Unusable(`${field} is negative`);
  if (/token/.test(field) && cost.compare(Decimal.of(MAXIMUM_USD_PER_TOKEN)) > 0) {
    throw new Unusable(`${field} is implausible: above the ceiling of ${MAXIMUM_USD_PER_TOKEN} USD a token`);
  }
  return cost;
}

function checkSize(name: PriceClass, credits: Decimal): void {
  const [count, unit] =
    PRICE_CLASSES[name] === 'token' ? [1000, '1,000 tokens'] : [1, `${PRICE_CLASSES[name]}`];
  if (credits.times(Decimal.of(count)).compare(Decimal.of(MAXIMUM_CREDITS)) > 0)
    throw new Unusable(`would cost more than ${MAXIMUM_CREDITS} credits per ${unit}`);
}
