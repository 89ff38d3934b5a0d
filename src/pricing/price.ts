export const PRICING_SOURCES = ['rule', 'default', 'fallback'] as const;
export type PricingSource = (typeof PRICING_SOURCES)[number];

/** The tokens of a call: all together, or by class. Classes are exclusive: cached input is not in `inputTokens`. */
export interface TokenCounts {
  tokens?: number | undefined;
  inputTokens?: number | undefined;
  outputTokens?: number | undefined;
  cachedInputTokens?: number | undefined;
}

/** What a call costs, and the price it was calculated at: decimals as text, credits per 1,000 tokens. */
export interface Quote {
  credits: number;
  pricingSource: PricingSource;
  pricingRuleId: number | null;
  price: string;
  inputPrice: string | null;
  outputPrice: string | null;
  cachedInputPrice: string | null;
}
