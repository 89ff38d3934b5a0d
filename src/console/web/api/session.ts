import { computed, signal } from '@preact/signals';

export type Role = 'user' | 'supervisor' | 'admin';

export interface Session {
  /** Null: the browser has a cookie, which no script can read. */
  readonly token: string | null;
  readonly userId: string;
  readonly username: string;
  /** Chooses what is shown; the API decides what is allowed. */
  readonly role: Role;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Kept in memory only, never in storage or an address: a reload forgets a token, and finds the session of a cookie again. */
export const session = signal<Session | null>(null);
/** Why the last session ended, unless the person ended it. */
export const endedBecause = signal<string | null>(null);

const RANK: Record<Role, number> = { user: 0, supervisor: 1, admin: 2 };
export const isSupervisor = computed(() => RANK[session.value?.role ?? 'user'] >= RANK.supervisor);
export const isAdmin = computed(() => session.value?.role === 'admin');

/** The longest delay of a browser's timer; a longer one would end at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
let expiry: ReturnType<typeof setTimeout> | undefined;

/** The headers of a request of this session. A cookie counts only beside a header that no other site can send. */
export const credentialsOf = ({ token }: Pick<Session, 'token'>): Record<string, string> =>
  token === null ? { 'X-Requested-By': 'console' } : { Authorization: `Bearer ${token}` };

/** What a person is told when it is over. */
export const endOf = ({ token }: Pick<Session, 'token'>): string =>
  token === null ? 'Your session has ended.' : 'Your access token has expired.';

/** @throws Error with what is wrong with the text, for the person who pasted it */
export function readToken(text: string): string {
  const token = text.trim().replace(/^Bearer\s+/i, '');
  const parts = token.split('.');
  if (parts.length !== 3)
    throw new Error('That isn’t a valid JWT: it must have three parts separated by dots.');
  try {
    JSON.parse(atob((parts[1] as string).replaceAll('-', '+').replaceAll('_', '/')));
  } catch {
    throw new Error('That isn’t a valid JWT: its payload can’t be decoded.');
  }
  return token;
}

export function begin(next: Session): void {
  clearTimeout(expiry);
  endedBecause.value = null;
  session.value = next;
  const left = next.expiresAt - Date.now();
  if (left < LONGEST_TIMER) expiry = setTimeout(() => end(endOf(next)), Math.max(left, 0));
}

/** The address stays as it is, so that the next session continues where this one ended. */
export function end(reason: string | null = null): void {
  clearTimeout(expiry);
  session.value = null;
  endedBecause.value = reason;
}
