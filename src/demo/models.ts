/** What a provider asks for 1,000 tokens, in USD. */
export interface ProviderPrice {
  readonly input: number;
  readonly output: number;
  readonly cachedInput: number;
}

export interface DemoModel {
  readonly id: string;
  /** How often it is chosen, beside the others. */
  readonly weight: number;
  readonly price: ProviderPrice;
  /** What the provider asks since the middle of the month, where that is another price. */
  readonly newPrice?: ProviderPrice;
  /** Users do not know of it yet: they pay by the price of before. */
  readonly isMissed?: true;
  readonly isEmbedding?: true;
}

const price = (input: number, output: number, cachedInput = input / 10): ProviderPrice => ({
  input,
  output,
  cachedInput,
});

/** Known models with prices of the order of the real ones; three of them become cheaper or dearer in the month, one unnoticed. */
export const MODELS: readonly DemoModel[] = [
  { id: 'gpt-4o', weight: 16, price: price(0.005, 0.015), newPrice: price(0.0025, 0.01, 0.00125) },
  { id: 'gpt-4o-mini', weight: 22, price: price(0.00015, 0.0006, 0.000075) },
  { id: 'gpt-4.1', weight: 9, price: price(0.002, 0.008, 0.0005) },
  { id: 'o4-mini', weight: 6, price: price(0.0011, 0.0044, 0.000275) },
  { id: 'claude-opus-4', weight: 3, price: price(0.015, 0.075) },
  { id: 'claude-sonnet-4', weight: 15, price: price(0.003, 0.015) },
  { id: 'claude-3-5-haiku', weight: 8, price: price(0.0008, 0.004), newPrice: price(0.001, 0.005) },
  { id: 'gemini-2.5-pro', weight: 7, price: price(0.00125, 0.01) },
  {
    id: 'gemini-2.5-flash',
    weight: 10,
    price: price(0.00015, 0.0006),
    newPrice: price(0.0005, 0.004),
    isMissed: true,
  },
  { id: 'mistral-large', weight: 3, price: price(0.002, 0.006) },
  { id: 'llama-3.3-70b', weight: 4, price: price(0.0006, 0.0008) },
  { id: 'text-embedding-3-large', weight: 0, price: price(0.00013, 0), isEmbedding: true },
];

/** What users without enough credits use. */
export const DEAR_MODEL = 'claude-sonnet-4';

/** What organisations use while the demo runs: what is left of their credits lasts. */
export const CHEAP_MODEL = 'gpt-4o-mini';

/** It was used before it had a price. */
export const UNPRICED_MODEL = 'qwen3-235b-a22b';

/** What users pay for what the provider asks. */
const MARKUP = 1.3;
const CREDITS_PER_USD = 1000;

/** Credits for what costs so many USD. */
export function userPrice(usd: number): number {
  return usd * MARKUP * CREDITS_PER_USD;
}

/** The price of tokens whose class is unknown: the dearest, as an import of prices takes it. */
export function blended({ input, output }: ProviderPrice): number {
  return Math.max(input, output);
}

/** As the columns take it: a decimal without an exponent. */
export function decimal(value: number): string {
  return value.toFixed(12).replace(/\.?0+$/, '');
}
