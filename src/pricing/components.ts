import { ValidationError } from '../common/errors/service-error.js';
import { Decimal } from '../common/money/decimal.js';
import type { CreatePricingRuleDto } from './dto/pricing.requests.js';
import type { RulePricesDto } from './dto/pricing.responses.js';
import {
  type Component,
  PRICE_CLASSES,
  type PriceClass,
  type ServiceTier,
  type StoredComponents,
} from './price-classes.js';

/** The short form: prices per 1,000 tokens of these classes, of the standard tier and for prompts of any size. */
const SHORT = [
  ['tokens', 'pricePerThousandTokens', 'providerCostPerThousandTokens'],
  ['input', 'pricePerThousandInputTokens', 'providerCostPerThousandInputTokens'],
  ['output', 'pricePerThousandOutputTokens', 'providerCostPerThousandOutputTokens'],
  ['cached_input', 'pricePerThousandCachedInputTokens', 'providerCostPerThousandCachedInputTokens'],
] as const;
/** What a price or a cost that is not given is taken from. */
const TAKEN_FROM: Partial<Record<PriceClass, PriceClass>> = {
  input: 'tokens',
  output: 'tokens',
  cached_input: 'input',
};
const THOUSAND = Decimal.of(1000);
const THOUSANDTH = Decimal.of('0.001');

/** Components as the database keeps them. */
export function stored(components: readonly Component[]): StoredComponents {
  const byKey: StoredComponents = {};
  const highestFirst = [...components].sort((one, other) => other.contextAbove - one.contextAbove);
  for (const { class: name, serviceTier, contextAbove, price, cost } of highestFirst)
    (byKey[`${name} ${serviceTier}`] ??= []).push({ class: name, above: contextAbove, price, cost });
  return byKey;
}

/** The other way round, in the order of class, tier and threshold. */
function listed(components: StoredComponents): Component[] {
  return Object.entries(components)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([key, prices]) =>
      [...prices].reverse().map(({ class: name, above, price, cost }) => ({
        class: name,
        serviceTier: key.slice(name.length + 1) as ServiceTier,
        contextAbove: above,
        price,
        cost,
      })),
    );
}

/** What a rule says, in the short form and as the whole list. */
export function rulePrices(from: StoredComponents): RulePricesDto {
  const components = listed(from);
  const find = (name: PriceClass) => components.find((each) => keyOf(each) === keyOf(standard(name)));
  const short = [
    ...SHORT.map(([name, price]) => [price, perThousand(find(name)?.price)]),
    ...SHORT.map(([name, , cost]) => [cost, perThousand(find(name)?.cost)]),
  ];
  return {
    ...(Object.fromEntries(short) as Omit<RulePricesDto, 'components'>),
    components: components.map(({ cost, ...component }) => ({
      ...component,
      unit: PRICE_CLASSES[component.class],
      providerCostUsd: cost,
    })),
  };
}

/**
 * The components that a request describes. A class whose price or cost is named and whose other one is not takes that one
 * from the class that it falls back to.
 *
 * @throws ValidationError for a request without a price, or with a cost that has none
 */
export function componentsOf(request: CreatePricingRuleDto): Component[] {
  if (request.pricePerThousandTokens === undefined && request.components === undefined)
    throw missing('is required, or components');
  const short = new Map<PriceClass, Component>();
  for (const [name, priceField, costField] of SHORT) {
    const taken = short.get(TAKEN_FROM[name] ?? name) ?? short.get('tokens');
    const [price, cost] = [perUnit(request[priceField]), perUnit(request[costField])];
    if (price === null && cost === null) continue;
    const ownOrTaken = price ?? taken?.price;
    if (ownOrTaken === undefined) throw missing('is required');
    short.set(name, { ...standard(name), price: ownOrTaken, cost: cost ?? taken?.cost ?? null });
  }
  const others = (request.components ?? []).map((component) => ({
    ...standard(component.class),
    serviceTier: component.serviceTier ?? 'standard',
    contextAbove: component.contextAbove ?? 0,
    price: component.price,
    cost: component.providerCostUsd ?? null,
  }));
  return [...short.values(), ...others];
}

/** Why a request's prices are none, or undefined. */
export function componentsProblem(request: CreatePricingRuleDto): string | undefined {
  const given = SHORT.filter(
    ([, price, cost]) => request[price] !== undefined || request[cost] !== undefined,
  );
  // What is no list of components is refused as that.
  const components = Array.isArray(request.components) ? request.components : [];
  const keys = [
    ...given.map(([name]) => keyOf(standard(name))),
    ...components.map((each) => keyOf(each ?? {})),
  ];
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  return twice === undefined ? undefined : 'must not price a class twice for one tier and threshold';
}

const missing = (message: string) => new ValidationError([{ field: 'pricePerThousandTokens', message }]);

const standard = (name: PriceClass) => ({ class: name, serviceTier: 'standard', contextAbove: 0 }) as const;

const keyOf = (component: { class?: PriceClass; serviceTier?: string; contextAbove?: number }) =>
  [component.class, component.serviceTier ?? 'standard', component.contextAbove ?? 0].join(' ');

const perThousand = (perUnit: string | null | undefined) =>
  perUnit === undefined || perUnit === null ? null : Decimal.stored(perUnit).times(THOUSAND).toString();

const perUnit = (perThousand: string | undefined) =>
  perThousand === undefined ? null : Decimal.of(perThousand).times(THOUSANDTH).toString();
