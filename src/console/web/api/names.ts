import { useQuery } from '@tanstack/preact-query';
import { useMemo } from 'preact/hooks';
import { isOrganisation, readerOf } from './accounts';
import type { Names } from './limits';
import { unitPaths, units } from './organisations';
import { readAll } from './pages';

/** The tree of an organisation's units. */
export const unitsOf = (organisationId: string) => ({
  queryKey: ['units', organisationId],
  queryFn: async ({ signal }: { signal: AbortSignal }) => (await units(organisationId, signal)).items,
});

/** How the units and API keys of an account are called. */
export function useNames(accountId: string): Names {
  const tree = useQuery({ ...unitsOf(accountId), enabled: isOrganisation(accountId) });
  const keys = useQuery({
    queryKey: ['key-names', accountId],
    queryFn: ({ signal }) => readAll((cursor) => readerOf(accountId).keys(cursor, signal)),
  });
  return useMemo(
    () =>
      new Map([
        ...unitPaths(tree.data ?? []).map(({ unit, path }) => [`unit ${unit.id}`, path] as const),
        ...(keys.data ?? [])
          .filter(({ isActive }) => isActive)
          .map(({ id, name }) => [`key ${id}`, `${name} (#${id})`] as const),
      ]),
    [tree.data, keys.data],
  );
}
