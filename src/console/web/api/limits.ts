import { plural, relative, whole } from '../format';

/** A limit as a budget, a refusal and an event describe it. */
export interface LimitFacts {
  scope: string;
  scopeId: string | null;
  /** The member whose period it is, for budgets of each member. */
  userId?: string | null;
  unit: string;
  window: string | null;
  limit: number;
  used: number;
  held: number;
  resetsAt: string | null;
}

/** Names of units and API keys, by scope and id: `unit 3` is `Research`. */
export type Names = ReadonlyMap<string, string>;

/** The named ones of a scope, to choose from. */
export const choicesOf = (names: Names, scope: string): [id: string, name: string][] =>
  [...names]
    .filter(([key]) => key.startsWith(`${scope} `))
    .map(([key, name]) => [key.slice(scope.length + 1), name]);

const SCOPES: Record<string, string> = { key: 'API key' };

/** What a limit is for: `unit Research`, `model gpt-4o*`, `each member`. */
export function scopeInWords({ scope, scopeId, userId }: ScopeFacts, names?: Names): string {
  if (scope === 'account') return 'whole account';
  if (scope === 'each_member') return userId ? `each member (${userId})` : 'each member';
  const name =
    names?.get(`${scope} ${scopeId}`) ?? `${scope === 'unit' || scope === 'key' ? '#' : ''}${scopeId}`;
  return `${SCOPES[scope] ?? scope} ${name}`;
}
export type ScopeFacts = Pick<LimitFacts, 'scope' | 'scopeId' | 'userId'>;

/** `1,000 credits per month`, `2 sessions at once`, `1 request in all`. */
export function amountInWords(amount: number, unit: string, window: string | null): string {
  const per =
    unit === 'sessions' ? 'at once' : window === null || window === 'lifetime' ? 'in all' : `per ${window}`;
  return `${plural(amount, unit.replace(/s$/, ''))} ${per}`;
}

/** `unit Research: 990 used and 8 held of 1,000 credits per month; resets in 8 days`. */
export function limitInWords(facts: LimitFacts, names?: Names, now = Date.now()): string {
  const { unit, window, limit, used, held, resetsAt } = facts;
  const counted = unit === 'sessions' ? `${whole(held)} open` : `${whole(used)} used and ${whole(held)} held`;
  const resets =
    resetsAt === null
      ? ''
      : `; ${Date.parse(resetsAt) > now ? 'resets' : 'has reset'} ${relative(resetsAt, now)}`;
  return `${scopeInWords(facts, names)}: ${counted} of ${amountInWords(limit, unit, window)}${resets}`;
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

interface Room extends ScopeFacts {
  unit: string;
  mode: string;
  left: number | null;
}

const UNITS = ['credits', 'tokens', 'requests', 'sessions'];
const rankOf = ({ unit, mode }: Room) => (mode === 'soft' ? UNITS.length : 0) + UNITS.indexOf(unit);

/** Those that refuse first, credits before other units, and in each what has least left. */
export const bySmallestRoom = <Budget extends Room>(budgets: readonly Budget[]): Budget[] =>
  [...budgets].sort((a, b) => rankOf(a) - rankOf(b) || (a.left ?? Infinity) - (b.left ?? Infinity));

const EVERY_CALL = new Set(['account', 'unit', 'member', 'each_member']);
/** Whether every call of a member counts for it: not only those with a key, a model or a tag. */
export const isForEveryCall = ({ scope }: ScopeFacts) => EVERY_CALL.has(scope);

/** The most credits that a call of a member may cost, and the budget that allows no more; null: the balance does not. */
export function mostCredits<Budget extends Room>(
  available: number,
  budgets: readonly Budget[],
): { credits: number; by: Budget | null } {
  const [smallest] = bySmallestRoom(
    budgets.filter((budget) => isForEveryCall(budget) && budget.mode === 'hard' && budget.unit === 'credits'),
  );
  const left = smallest?.left ?? Infinity;
  return left < available ? { credits: left, by: smallest as Budget } : { credits: available, by: null };
}
