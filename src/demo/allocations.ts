import { CAST, DAY, MINUTE, type Person, SPENDS_MUCH } from './people.js';
import type { SeededRandom } from './seeded-random.js';

/** One call of a SQL function at an instant of the past. */
export interface PastCall {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly operation: string;
  readonly request: { readonly accountId: string; readonly [field: string]: unknown };
}

const SECOND = 1000;
const HOUR = 60 * MINUTE;
const LOT_DAYS = 30;
/** Enough for two days of a user who calls often. */
const SMALL_BUDGET = 250;
const WORKING_DAYS = 22;
/** What a call of the month needs on average, in credits. */
const AVERAGE_CALL = 9;

export function joinedAt({ joinedDaysAgo, joinedMinute }: Person, now: number): number {
  return now - joinedDaysAgo * DAY - 2 * HOUR + joinedMinute * MINUTE;
}

/** The first lot comes with the user, a further one at its end, some between: each with an actor and a reason. */
export function makeAllocations(random: SeededRandom, person: Person, now: number): PastCall[] {
  const calls: PastCall[] = [];
  const accountId = person.userId;
  const add = (at: number, operation: string, request: object) =>
    calls.push({ at: Math.round(at), operation, request: { accountId, ...request } });
  const by = person.team === 'Research' ? CAST.secondSupervisor : CAST.supervisor;
  const give = (at: number, credits: number, days: number, notes: string): void => {
    add(at, 'credit_allocate', { credits, expiryDays: days, notes, actor: by.userId });
    const expiry = at + days * DAY;
    if (expiry < now - MINUTE) add(expiry + 5 * SECOND, 'credit_expire', { wait: true });
  };
  const need = person.callsPerDay * WORKING_DAYS * AVERAGE_CALL * person.budget;
  const budget = Math.max(50, Math.ceil(need / 50) * 50);
  const joined = joinedAt(person, now);
  if (person.story === 'expired') {
    give(joined, budget * 3, LOT_DAYS, 'Pilot of the sales team');
    return calls;
  }
  give(joined + SECOND, budget, LOT_DAYS, 'Monthly budget');
  const renewal = joined + (LOT_DAYS - 1) * DAY;
  const renewed = SPENDS_MUCH.has(person.story) ? SMALL_BUDGET : budget;
  if (renewal < now - DAY) give(renewal, renewed, LOT_DAYS, 'Monthly budget');
  const later = (share: number) => joined + (now - joined) * share;
  // Every demo has one of each, however few its users are.
  const isExample = person.story === 'expiring unused';
  if (isExample) give(now - 27 * DAY, 5000, LOT_DAYS, 'Review of all contracts');
  else if (person.story !== undefined) return calls;
  if (!isExample && random.chance(0.25)) give(later(0.4), Math.ceil(budget / 2), 14, 'Workshop');
  if (!isExample && random.chance(0.2))
    give(later(0.7), Math.ceil(budget / 3), LOT_DAYS, 'Top-up for the launch');
  if (!isExample && random.chance(0.15)) give(joined + MINUTE, 200, 7, 'Trial');
  if (isExample || random.chance(0.03)) {
    const notes = `Correction of ticket ${random.integer(1000, 9999)}`;
    const credits = random.integer(1, 20);
    add(later(0.6), 'credit_deduct', { credits, notes, actor: CAST.admin.userId });
  }
  if (isExample || random.chance(0.02)) {
    const mistake = 'Given to the wrong account';
    give(later(0.5), budget * 10, LOT_DAYS, mistake);
    add(later(0.5) + 20 * MINUTE, 'credit_revoke', { notes: mistake, actor: CAST.admin.userId });
  }
  return calls;
}
