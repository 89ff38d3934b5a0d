import type pg from 'pg';

const MICROSECONDS_PER_DAY = 86_400_000_000n;
const DECIMALS = 18;

/** One usage record, with its instant and its cost as whole numbers, so that adding up is exact. */
export interface Fact {
  id: number;
  userId: string;
  /** Microseconds since 1970. */
  at: bigint;
  service: string;
  operation: string;
  credits: bigint;
  /** In 10^-18 USD; null is unknown. */
  cost: bigint | null;
  isUnpriced: boolean;
  status: string;
  uncollected: bigint;
}

/** Every record there is, as the table has it. */
export async function readFacts(database: pg.Pool): Promise<Fact[]> {
  const { rows } = await database.query<Record<string, string | null>>(
    `SELECT id, account_id, (extract(epoch FROM timestamp) * 1000000)::bigint AS at, service, operation, credits,
            provider_cost_usd::text AS cost, pricing_source, billing_status, uncollected_credits
       FROM usage_records`,
  );
  return rows.map((row) => ({
    id: Number(row.id),
    userId: String(row.account_id),
    at: BigInt(String(row.at)),
    service: String(row.service),
    operation: String(row.operation),
    credits: BigInt(String(row.credits)),
    cost: row.cost === null || row.cost === undefined ? null : scaled(row.cost),
    isUnpriced: row.pricing_source === 'fallback',
    status: String(row.billing_status),
    uncollected: BigInt(String(row.uncollected_credits)),
  }));
}

/** The records of a query's range, as the contract words it: both ends included, a day whole, an instant its millisecond. */
export function inRange(facts: Fact[], startDate: string | undefined, endDate: string | undefined): Fact[] {
  const from = startDate === undefined ? undefined : microsecondsOf(startDate);
  const to = endDate === undefined ? undefined : microsecondsOf(endDate) + lengthOf(endDate);
  return facts.filter(({ at }) => (from === undefined || at >= from) && (to === undefined || at < to));
}

function microsecondsOf(time: string): bigint {
  return BigInt(Date.parse(time)) * 1000n;
}

function lengthOf(time: string): bigint {
  return time.includes('T') ? 1000n : MICROSECONDS_PER_DAY;
}

/** The services of chats of every outcome. */
const CHATS = ['chat', ...['', '-failed', '-aborted', '-timeout'].map((end) => `chat-streaming${end}`)];

/** What the statistics must say of these records, by adding up one record after the other. */
export function statisticsOf(facts: Fact[]) {
  const [chats, others] = [true, false].map((isChat) =>
    facts.filter(({ service }) => CHATS.includes(service) === isChat),
  ) as [Fact[], Fact[]];
  const maps = {
    byService: creditsBy(facts, ({ service }) => service),
    byDay: creditsBy(facts, ({ at }) => isoTime(at).slice(0, 10)),
    byModel: creditsBy(chats, ({ operation }) => operation),
    byDayAndModel: byDayAndModel(chats),
    marginByModel: marginBy(chats, ({ operation }) => operation),
    marginByOperation: marginBy(others, ({ operation }) => operation),
    marginByDay: marginBy(facts, ({ at }) => isoTime(at).slice(0, 10)),
  };
  return {
    totalRecords: facts.length,
    totalCredits: Number(facts.reduce((sum, { credits }) => sum + credits, 0n)),
    byUser: creditsBy(facts, ({ userId }) => userId),
    ...maps,
    // Only the models of a day are more than an answer names.
    truncated: creditsBy(chats, ({ operation }) => operation).length > MODELS_OF_DAY ? ['byDayAndModel'] : [],
    ...marginOf(facts),
    unpricedRecords: facts.filter(({ isUnpriced }) => isUnpriced).length,
    needsReview: facts.filter(({ status }) => status === 'needs_review').length,
    recent: facts
      .toSorted((a, b) => (a.at === b.at ? b.id - a.id : a.at < b.at ? 1 : -1))
      .slice(0, 10)
      .map(({ id }) => id),
  };
}

/** Models that `byDayAndModel` names. */
const MODELS_OF_DAY = 20;

/**
 * The models with the most credits, and everything else as `other`, for each day. Where not all are named, what is really
 * called `other` is part of that.
 */
function byDayAndModel(chats: Fact[]): [day: string, models: NamedCredits][] {
  const named = creditsBy(chats, ({ operation }) => operation)
    .toSorted(([one, a], [two, b]) => Number(one === 'other') - Number(two === 'other') || b - a)
    .slice(0, MODELS_OF_DAY)
    .map(([model]) => model);
  const days = new Set(chats.map(({ at }) => isoTime(at).slice(0, 10)));
  return [...days].sort().map((day) => [
    day,
    creditsBy(
      chats.filter(({ at }) => isoTime(at).startsWith(day)),
      ({ operation }) => (named.includes(operation) ? operation : 'other'),
    ),
  ]);
}

/** 10^-18 USD in a credit: 1,000 credits are one USD. */
const USD_PER_CREDIT = 10n ** 15n;

function marginOf(facts: Fact[]) {
  const sum = (some: Fact[], of: (fact: Fact) => bigint) => some.reduce((all, fact) => all + of(fact), 0n);
  const credits = sum(facts, (fact) => fact.credits);
  const settledElsewhere = facts.filter(({ status }) => status === 'recorded');
  const settledHere = facts.filter(({ status }) => status !== 'recorded');
  const collectedOf = (some: Fact[]) =>
    sum(some, (fact) => (fact.status === 'recorded' ? 0n : fact.credits - fact.uncollected));
  const costed = facts.filter((fact): fact is Fact & { cost: bigint } => fact.cost !== null);
  const income = collectedOf(costed) * USD_PER_CREDIT;
  const cost = costed.reduce((all, fact) => all + fact.cost, 0n);
  return {
    collectedCredits: Number(collectedOf(facts)),
    uncollectedCredits: Number(sum(settledHere, (fact) => fact.uncollected)),
    recordedCredits: Number(sum(settledElsewhere, (fact) => fact.credits)),
    incomeUsd: unscaled(collectedOf(facts) * USD_PER_CREDIT),
    costedIncomeUsd: costed.length === 0 ? null : unscaled(income),
    creditsUsd: unscaled(credits * USD_PER_CREDIT),
    providerCostUsd: costed.length === 0 ? null : unscaled(cost),
    marginUsd: costed.length === 0 ? null : unscaled(income - cost),
    costedRecords: costed.length,
  };
}

function marginBy(facts: Fact[], nameOf: (fact: Fact) => string) {
  const groups = new Map<string, Fact[]>();
  for (const fact of facts) {
    const group = groups.get(nameOf(fact));
    if (group) group.push(fact);
    else groups.set(nameOf(fact), [fact]);
  }
  const margins = [...groups].map(([name, group]): [string, object] => [
    name,
    {
      credits: Number(group.reduce((sum, { credits }) => sum + credits, 0n)),
      records: group.length,
      ...marginOf(group),
    },
  ]);
  return byName(margins);
}

/** Names with their credits in a fixed order: an object would treat `__proto__` and `42` as something special. */
export type NamedCredits = [name: string, credits: number][];

function creditsBy(facts: Fact[], nameOf: (fact: Fact) => string): NamedCredits {
  const sums = new Map<string, bigint>();
  for (const fact of facts) sums.set(nameOf(fact), (sums.get(nameOf(fact)) ?? 0n) + fact.credits);
  return byName([...sums].map(([name, credits]) => [name, Number(credits)]));
}

export function byName<Value>(entries: [string, Value][]): [string, Value][] {
  return entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** ISO 8601 in UTC with all six digits of the microseconds. */
export function isoTime(microseconds: bigint): string {
  const time = new Date(Number(microseconds / 1000n)).toISOString();
  return time.replace('Z', `${String(microseconds % 1000n).padStart(3, '0')}Z`);
}

/** A decimal text as a whole number of 10^-18. */
export function scaled(decimal: string): bigint {
  const [whole = '0', fraction = ''] = decimal.split('.');
  return BigInt(whole + fraction.padEnd(DECIMALS, '0'));
}

/** The other way round, without needless zeros. */
export function unscaled(value: bigint): string {
  if (value < 0n) return `-${unscaled(-value)}`;
  const digits = String(value).padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  return digits.slice(0, -DECIMALS) + (fraction === '' ? '' : `.${fraction}`);
}
