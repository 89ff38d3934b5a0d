import { stored } from '../pricing/components.js';
import type { Component, PriceClass } from '../pricing/price-classes.js';
import type { PastCall } from './allocations.js';
import { makeCalls } from './calls.js';
import { decimal, MODELS, type ProviderPrice, blended, userPrice } from './models.js';
import { CAST, DAY, HISTORY_DAYS, makePeople, type Person } from './people.js';
import { type DemoKey, makeKeys } from './keys.js';
import { type DemoOrganisation, makeOrganisationCalls, makeOrganisations } from './organisations.js';
import { SeededRandom } from './seeded-random.js';

export interface PastRule {
  readonly modelId: string;
  readonly provider: ProviderPrice;
  /** What the price of the users was made from. */
  readonly basis: ProviderPrice;
  readonly from: number;
  readonly to: number | null;
}

/** What has happened until now; a function of its three numbers and nothing else. */
export interface Month {
  readonly people: readonly Person[];
  readonly rules: readonly PastRule[];
  readonly keys: readonly DemoKey[];
  readonly organisations: readonly DemoOrganisation[];
  /** In the order of time. */
  readonly calls: readonly PastCall[];
}

export function makeMonth({ seed, users, now }: { seed: number; users: number; now: number }): Month {
  const random = new SeededRandom(seed);
  const people = makePeople(random, users);
  const keys = makeKeys(random, people, now);
  const organisations = makeOrganisations(people);
  const calls = [...makeCalls(random, people, keys, now), ...makeOrganisationCalls(seed, organisations, now)];
  // Sorting is stable: what was written first stays first.
  calls.sort((a, b) => a.at - b.at);
  return { people, keys, organisations, rules: makeRules(now), calls };
}

const ANNOUNCED: ProviderPrice = { input: 0.0009, output: 0.0036, cachedInput: 0.000225 };

/** Each model has a price from the beginning; some have another one since the middle, and one is announced. */
function makeRules(now: number): PastRule[] {
  const begin = now - (HISTORY_DAYS + 1) * DAY;
  const change = now - 16 * DAY;
  const announced = now + 6 * DAY;
  const rules = MODELS.flatMap(({ id: modelId, price, newPrice, isMissed }): PastRule[] => {
    if (newPrice === undefined) return [{ modelId, provider: price, basis: price, from: begin, to: null }];
    return [
      { modelId, provider: price, basis: price, from: begin, to: change },
      { modelId, provider: newPrice, basis: isMissed ? price : newPrice, from: change, to: null },
    ];
  });
  return rules.flatMap((rule) =>
    rule.modelId === 'o4-mini'
      ? [
          { ...rule, to: announced },
          { ...rule, provider: ANNOUNCED, basis: ANNOUNCED, from: announced },
        ]
      : [rule],
  );
}

/** A rule as the row of its table. */
export function ruleRow({ modelId, provider, basis, from, to }: PastRule) {
  const component = (name: PriceClass, price: number, cost: number): Component => ({
    class: name,
    serviceTier: 'standard',
    contextAbove: 0,
    price: decimal(userPrice(price) / 1000),
    cost: decimal(cost / 1000),
  });
  return {
    model_id: modelId,
    source: 'rule',
    components: stored([
      component('tokens', blended(basis), blended(provider)),
      component('input', basis.input, provider.input),
      component('output', basis.output, provider.output),
      component('cached_input', basis.cachedInput, provider.cachedInput),
    ]),
    effective_from: new Date(from),
    effective_to: to === null ? null : new Date(to),
    created_by: CAST.admin.userId,
  };
}
