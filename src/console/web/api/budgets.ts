import { answer, api, type Page, type Schemas } from './client';
import { readAll } from './pages';

export type Budget = Schemas['BudgetDto'];
export type BudgetPeriod = Schemas['BudgetPeriodDto'];
/** A budget with its period of now; without a limit are those that only count, and those of each member. */
export type CountedBudget = Budget & { limit: number; used: number; held: number; left: number };

const LIMIT = 200;
const EVERY = 5000;

/** The budgets of an account; those of a member are what the member's calls count for. */
export const budgetsOf = (accountId: string, memberId?: string) => ({
  queryKey: ['budgets', accountId, memberId ?? ''],
  queryFn: async ({ signal }: { signal: AbortSignal }) => {
    const budgets = await readAll((cursor) =>
      answer(
        api.GET('/api/budgets', { params: { query: { accountId, memberId, limit: LIMIT, cursor } }, signal }),
      ),
    );
    // Each API key without a limit has one that only counts.
    return budgets.filter(({ amount }) => amount !== null);
  },
  refetchInterval: EVERY,
});

export const isCounted = (budget: Budget): budget is CountedBudget => budget.limit !== null;

/** Hard limits with nothing left: calls that count for them are refused. */
export const usedUp = (budgets: readonly Budget[]): CountedBudget[] =>
  budgets.filter(isCounted).filter(({ mode, left }) => mode === 'hard' && left === 0);

const once = (key: string) => ({ params: { header: { 'Idempotency-Key': key } } });

export const createBudget = (body: Schemas['CreateBudgetDto'], key: string): Promise<Budget> =>
  answer(api.POST('/api/budgets', { ...once(key), body }));

export const changeBudget = (
  { id, accountId }: Budget,
  changes: Schemas['UpdateBudgetDto'],
): Promise<Budget> =>
  answer(api.PATCH('/api/budgets/{id}', { params: { path: { id } }, body: { accountId, ...changes } }));

export const raiseBudget = (
  { id, accountId }: Budget,
  raise: Schemas['RaiseBudgetDto'],
  key: string,
): Promise<Budget> =>
  answer(
    api.POST('/api/budgets/{id}/raises', {
      params: { path: { id }, header: { 'Idempotency-Key': key } },
      body: { accountId, ...raise },
    }),
  );

export const endBudget = ({ id, accountId }: Budget): Promise<unknown> =>
  answer(api.DELETE('/api/budgets/{id}', { params: { path: { id }, query: { accountId } } }));

export const budgetPeriods = (
  { id, accountId }: Budget,
  cursor: string | undefined,
  signal?: AbortSignal,
): Promise<Page<BudgetPeriod>> =>
  answer(
    api.GET('/api/budgets/{id}/periods', { params: { path: { id }, query: { accountId, cursor } }, signal }),
  );
