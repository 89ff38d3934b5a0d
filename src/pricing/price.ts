import type { PriceClass, StoredComponents } from './price-classes.js';

export const PRICING_SOURCES = ['rule', 'default', 'fallback'] as const;
export type PricingSource = (typeof PRICING_SOURCES)[number];

/** What one class of a call costs, before the rounding. Decimals as text; null: the rule has no such price. */
export interface ClassAmount {
  class: PriceClass;
  quantity: number;
  /** The class whose price it took; null: none, so it is free. */
  pricedAs: PriceClass | null;
  price: string | null;
  credits: string | null;
  providerCostUsd: string | null;
}

/** What a call costs, and by which rule. */
export interface Quote {
  credits: number;
  providerCostUsd: string | null;
  pricingSource: PricingSource;
  pricingRuleId: number;
  /** The model, or the pattern of models, that the rule is for. */
  pricedAs: string;
  /** The rule's. */
  components: StoredComponents;
  classes: ClassAmount[];
}
