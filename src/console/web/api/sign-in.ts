import { signal } from '@preact/signals';
import { sessionWith } from './client';
import { reportTrouble } from './connection';
import { readSettings, settings } from './development';
import { begin, credentialsOf, end, session } from './session';

/** Until it is known whether the browser has a session. */
export const isRestoring = signal(true);
/** Why the sign-in that led to this page did not succeed. */
export const signInProblem = signal<string | null>(null);

const WORDS: Record<string, string> = {
  expired: 'This sign-in took too long, or it began in another browser.',
  refused: 'The sign-in provider refused the sign-in.',
  rejected:
    'You signed in, but the service does not accept the provider’s access token. The log of the service says why.',
  unavailable: 'The sign-in provider does not respond. Try again in a moment.',
};

/** Takes it out of the address, which a person may share or reload. */
export function readSignInProblem(): void {
  const address = new URL(location.href);
  const problem = address.searchParams.get('signInProblem');
  if (problem === null) return;
  signInProblem.value = WORDS[problem] ?? null;
  address.searchParams.delete('signInProblem');
  history.replaceState(null, '', address.pathname + address.search);
}

/** Where the browser signs in, and comes back from to the present page. */
export const signInAddress = (): string =>
  `/api/sign-in?${new URLSearchParams({ returnTo: location.pathname + location.search }).toString()}`;

/** Tabs of one browser have one session. */
const tabs = new BroadcastChannel('accounting-session');
tabs.onmessage = ({ data }) => {
  if (data === 'begun' && session.value === null) void restore();
  if (data === 'ended' && session.value?.token === null) end('You signed out in another tab.');
};

/** Continues the session of the browser, if it has one. */
export async function restore(): Promise<void> {
  try {
    await readSettings();
    if (settings.value?.signIn && session.value === null) begin(await sessionWith(null));
  } catch {
    // There is none, or the service is away: then `connection` says so.
  } finally {
    isRestoring.value = false;
  }
}

/** At the start of a page: other tabs, where a person may have to sign in, continue with the session that this one finds. */
export async function start(): Promise<void> {
  readSignInProblem();
  await restore();
  if (session.value !== null) tabs.postMessage('begun');
}

/** Ends the session in every tab, and goes to the provider, where a person signs out as well. */
export async function signOut(): Promise<void> {
  const current = session.value;
  if (current === null || current.token !== null) return end();
  try {
    const response = await fetch('/api/sign-in/end', { method: 'POST', headers: credentialsOf(current) });
    if (!response.ok) return reportTrouble('unavailable');
    const { continueAt } = (await response.json()) as { continueAt: string | null };
    end();
    tabs.postMessage('ended');
    if (continueAt !== null) location.assign(continueAt);
  } catch {
    // The cookie is still good, so the page must not say that the person has signed out.
    reportTrouble('unreachable');
  }
}
