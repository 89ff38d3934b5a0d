import { MutationCache, QueryClient } from '@tanstack/preact-query';
import { effect } from '@preact/signals';
import { reconnections } from './connection';
import type { Problem } from './problem';

declare module '@tanstack/preact-query' {
  interface Register {
    defaultError: Problem;
    mutationMeta: {
      /** It changed nothing, so that what is shown need not be read again. */
      isRead?: boolean;
    };
  }
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      // The browser may call itself offline while the service runs on the same machine.
      networkMode: 'always',
      // A refusal stays a refusal; after an outage `connection` says when to ask again.
      retry: false,
      // A page never shows a balance that was read some time ago for another page, or for the person before.
      gcTime: 0,
    },
    // A new API key is kept no longer than the form that shows it.
    mutations: { networkMode: 'always', gcTime: 0 },
  },
  mutationCache: new MutationCache({
    // What a person changes may be on the screen in several places.
    onSuccess: (_data, _variables, _context, { meta }) => {
      if (!meta?.isRead) void queryClient.invalidateQueries();
    },
  }),
});

effect(() => {
  if (reconnections.value > 0) void queryClient.invalidateQueries();
});
