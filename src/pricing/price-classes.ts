/** What a price is for one of. */
export const UNITS = [
  'token',
  'image',
  'pixel',
  'second',
  'character',
  'page',
  'query',
  'request',
  'session',
] as const;
export type Unit = (typeof UNITS)[number];

/**
 * What a call may use, each in exactly one class, and the unit it is counted in. What a class without a price of its own
 * costs is decided in `price_classes.sql`, which has the same list.
 */
export const PRICE_CLASSES = {
  tokens: 'token',
  input: 'token',
  cached_input: 'token',
  cache_write_5m: 'token',
  cache_write_1h: 'token',
  output: 'token',
  reasoning: 'token',
  audio_input: 'token',
  cached_audio_input: 'token',
  audio_cache_write: 'token',
  audio_output: 'token',
  image_input: 'token',
  image_output: 'token',
  video_input: 'token',
  video_output: 'token',
  citation: 'token',
  input_characters: 'character',
  output_characters: 'character',
  input_images: 'image',
  images: 'image',
  pixels: 'pixel',
  seconds: 'second',
  seconds_1080p: 'second',
  audio_input_seconds: 'second',
  video_input_seconds: 'second',
  pages: 'page',
  annotated_pages: 'page',
  queries: 'query',
  requests: 'request',
  search_low: 'query',
  search_medium: 'query',
  search_high: 'query',
  code_interpreter_sessions: 'session',
} as const satisfies Record<string, Unit>;
export type PriceClass = keyof typeof PRICE_CLASSES;
export const CLASS_NAMES = Object.keys(PRICE_CLASSES) as PriceClass[];

/** Prices that a rule has at most, which is more than any model needs. A request has at most 500 values. */
export const MAXIMUM_COMPONENTS = 80;

/** How quickly the provider answers, and what that costs. */
export const SERVICE_TIERS = ['standard', 'batch', 'flex', 'priority'] as const;
export type ServiceTier = (typeof SERVICE_TIERS)[number];

/** How much of each class a call used: whole numbers. */
export type Quantities = Partial<Record<PriceClass, number>>;

/** One price of a rule. Decimals as text: credits for one unit of the class, and what the provider charges for it in USD. */
export interface Component {
  readonly class: PriceClass;
  readonly serviceTier: ServiceTier;
  /** It applies to calls whose prompt has more tokens than this. */
  readonly contextAbove: number;
  readonly price: string;
  /** null: unknown. */
  readonly cost: string | null;
}

/** The same as the database keeps it: by class and tier (`input priority`), the highest threshold first. */
export type StoredComponents = Record<
  string,
  { class: PriceClass; above: number; price: string; cost: string | null }[]
>;
