import { useLocation } from 'preact-iso/router';
import { isOrganisation } from './api/accounts';

/** Every address of the console begins with it. */
export const BASE = '/console';

/** The address of a page, each part encoded: `pathTo('users', 'a/b')` is `/console/users/a%2Fb`. */
export const pathTo = (...parts: string[]) =>
  BASE + parts.map((part) => `/${encodeURIComponent(part)}`).join('');

/** The page of a user or an organisation. */
export const pathToAccount = (accountId: string, ...parts: string[]) =>
  pathTo(isOrganisation(accountId) ? 'organisations' : 'users', accountId, ...parts);

/** The usage page of an account with these filters, in the period of the present page. */
export function pathToUsage(accountId: string, filters: Record<string, string> = {}): string {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries({ user: accountId, ...filters })) query.set(name, value);
  return `${pathTo('usage')}?${query.toString()}`;
}

/** The form that is open on a page is part of the address: it can be reached from elsewhere. */
export function useOpen<Form extends string>(): [open: Form | null, setOpen: (form: Form | null) => void] {
  const { search, setSearch } = useSearch();
  return [(search.open as Form | undefined) ?? null, (open) => setSearch({ open })];
}

interface Search {
  /** What follows the question mark. */
  search: Record<string, string | undefined>;
  setSearch: (changes: Record<string, string | null>) => void;
}

/** Filters are part of the address: they can be shared and bookmarked. */
export function useSearch(): Search {
  const { query, route } = useLocation();
  const setSearch = (changes: Record<string, string | null>) => {
    // The browser's own address, because two changes may come before the next drawing.
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === '') next.delete(name);
      else next.set(name, value);
    }
    const text = next.toString();
    route(location.pathname + (text === '' ? '' : `?${text}`), true);
  };
  return { search: query, setSearch };
}
