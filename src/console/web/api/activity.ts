import { answer, api, type Page, type Schemas } from './client';

export type ActivityEntry = Schemas['ActivityDto'];
export type ActivityAction = ActivityEntry['action'];

/** Those that the address has; all others are left out. */
export interface ActivityFilters {
  accountId?: string;
  actor?: string;
  action?: ActivityAction;
  subject?: string;
  from?: string;
  to?: string;
}

const LIMIT = 100;

export const activity = (
  filters: ActivityFilters,
  cursor: string | undefined,
  signal?: AbortSignal,
): Promise<Page<ActivityEntry>> =>
  answer(
    api.GET('/api/activity', {
      params: { query: { limit: LIMIT, ...filters, ...(cursor === undefined ? {} : { cursor }) } },
      // The document also has the CSV of the same address.
      headers: { Accept: 'application/json' },
      signal,
    }),
  ) as Promise<Page<ActivityEntry>>;
