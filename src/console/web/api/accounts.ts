import {
  type ActiveSession,
  answer,
  api,
  type ApiKey,
  type Balance,
  type LedgerEntry,
  type Page,
  type Schemas,
  type UsageRecord,
  type UsageStats,
} from './client';
import { session } from './session';

export type Account = Schemas['AccountDto'];
export type Totals = Schemas['CreditTotalsDto'];
export type Forecast = Schemas['ForecastDto'];

export const accounts = (
  search: string,
  cursor: string | undefined,
  signal?: AbortSignal,
  limit = 100,
): Promise<Page<Account>> =>
  answer(
    api.GET('/api/accounts', {
      params: {
        query: { limit, ...(search.trim() === '' ? {} : { search: search.trim() }), ...given({ cursor }) },
      },
      signal,
    }),
  );
export const totals = (signal?: AbortSignal): Promise<Totals> =>
  answer(api.GET('/api/credits/totals', { signal }));

export interface Range {
  startDate: string;
  endDate: string;
}
export interface UsageFilters extends Partial<Range> {
  service?: string;
  operation?: string;
  apiKeyId?: number;
  /** Such as `feature=search`. */
  tag?: string;
  /** Of an organisation. */
  memberId?: string;
  unitId?: number;
}
/** The filters of the list over all users, which admins have. */
export interface AllUsageFilters extends UsageFilters {
  userId?: string;
  billingStatus?: UsageRecord['billingStatus'];
  sessionId?: string;
  requestId?: string;
}

/** Where usage records come from: a list of one account, or of everyone. */
export interface UsageSource<Filters = UsageFilters> {
  readonly accountId: string;
  usage(filters: Filters, cursor: string | undefined, signal?: AbortSignal): Promise<Page<UsageRecord>>;
}

const MOST_IN_A_PAGE = 200;
export const everyone: UsageSource<AllUsageFilters> = {
  accountId: '',
  usage: async (filters, cursor, signal) =>
    page(
      await answer(
        api.GET('/api/usage/records/all', {
          params: { query: { limit: MOST_IN_A_PAGE, ...filters, ...given({ cursor }) } },
          signal,
        }),
      ),
    ),
};

/** An organisation's account; every other is a user's own, with the user's id. */
export const isOrganisation = (accountId: string) => accountId.startsWith('org:');

/**
 * Everything of one account. A person reads their own account and organisations by the routes for them; for other users the
 * role decides.
 */
export interface AccountReader extends UsageSource {
  readonly isSelf: boolean;
  account(signal?: AbortSignal): Promise<Account | null>;
  balance(signal?: AbortSignal): Promise<Balance>;
  forecast(signal?: AbortSignal): Promise<Forecast>;
  stats(range: Range, signal?: AbortSignal): Promise<UsageStats>;
  ledger(cursor: string | undefined, signal?: AbortSignal): Promise<Page<LedgerEntry>>;
  /** Where the whole ledger is as CSV. */
  readonly ledgerAddress: string;
  sessions(signal?: AbortSignal): Promise<ActiveSession[]>;
  keys(cursor: string | undefined, signal?: AbortSignal): Promise<Page<ApiKey>>;
}

const LIMIT = 100;
/** The API's document also has the CSV of the same address; here JSON was requested. */
const page = <Item>(answered: { items: Item[]; nextCursor: string | null } | string): Page<Item> =>
  answered as Page<Item>;

export function readerOf(accountId: string): AccountReader {
  const isSelf = accountId === session.value?.userId;
  return isSelf || isOrganisation(accountId) ? own(accountId, isSelf) : another(accountId);
}

function own(accountId: string, isSelf: boolean): AccountReader {
  return {
    isSelf,
    accountId,
    account: () => Promise.resolve(null),
    balance: (signal) =>
      answer(api.GET('/api/credits/balance', { params: { query: { accountId } }, signal })),
    forecast: (signal) =>
      answer(api.GET('/api/credits/forecast', { params: { query: { accountId } }, signal })),
    stats: (query, signal) =>
      answer(api.GET('/api/usage/stats', { params: { query: { accountId, ...query } }, signal })),
    ledger: async (cursor, signal) =>
      page(
        await answer(
          api.GET('/api/credits/ledger', {
            params: { query: { accountId, limit: LIMIT, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
    ledgerAddress: `/api/credits/ledger?${new URLSearchParams({ accountId }).toString()}`,
    usage: async (filters, cursor, signal) =>
      page(
        await answer(
          api.GET('/api/usage/records', {
            params: { query: { accountId, limit: LIMIT, ...filters, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
    sessions: (signal) =>
      answer(api.GET('/api/streaming-sessions/active', { params: { query: { accountId } }, signal })),
    keys: async (cursor, signal) =>
      page(
        await answer(
          api.GET('/api/api-keys', {
            params: { query: { accountId, limit: LIMIT, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
  };
}

function another(userId: string): AccountReader {
  const path = { userId };
  return {
    isSelf: false,
    accountId: userId,
    account: (signal) => orNull(answer(api.GET('/api/accounts/{userId}', { params: { path }, signal }))),
    balance: (signal) => answer(api.GET('/api/credits/balance/{userId}', { params: { path }, signal })),
    forecast: (signal) => answer(api.GET('/api/credits/forecast/{userId}', { params: { path }, signal })),
    stats: (query, signal) =>
      answer(api.GET('/api/usage/stats/{userId}', { params: { path, query }, signal })),
    ledger: async (cursor, signal) =>
      page(
        await answer(
          api.GET('/api/credits/ledger/{userId}', {
            params: { path, query: { limit: LIMIT, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
    ledgerAddress: `/api/credits/ledger/${encodeURIComponent(userId)}`,
    usage: async (filters, cursor, signal) =>
      page(
        await answer(
          api.GET('/api/usage/records/user/{userId}', {
            params: { path, query: { limit: LIMIT, ...filters, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
    sessions: (signal) =>
      answer(api.GET('/api/streaming-sessions/active/{userId}', { params: { path }, signal })),
    keys: async (cursor, signal) =>
      page(
        await answer(
          api.GET('/api/api-keys/user/{userId}', {
            params: { path, query: { limit: LIMIT, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
  };
}

const given = ({ cursor }: { cursor: string | undefined }) => (cursor === undefined ? {} : { cursor });

/** Null where the service does not have it. */
async function orNull<Data>(promise: Promise<Data>): Promise<Data | null> {
  return promise.catch((error: { status?: number }) => {
    if (error.status === 404) return null;
    throw error;
  });
}
