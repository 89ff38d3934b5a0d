import { computed, signal } from '@preact/signals';

export type Role = 'user' | 'supervisor' | 'admin';

export interface Session {
  readonly token: string;
  readonly userId: string;
  readonly username: string;
  /** Chooses what is shown; the API decides what is allowed. */
  readonly role: Role;
  /** Milliseconds since 1970; null: the token names no expiry. */
  readonly expiresAt: number | null;
}

/** Kept in memory only, never in storage, a cookie or an address: a reload forgets it. */
export const session = signal<Session | null>(null);
/** Why the last session ended, unless the person ended it. */
export const endedBecause = signal<string | null>(null);

const RANK: Record<Role, number> = { user: 0, supervisor: 1, admin: 2 };
export const isSupervisor = computed(() => RANK[session.value?.role ?? 'user'] >= RANK.supervisor);
export const isAdmin = computed(() => session.value?.role === 'admin');

/** The longest delay of a browser's timer; a longer one would end at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
let expiry: ReturnType<typeof setTimeout> | undefined;

/** @throws Error with what is wrong with the text, for the person who pasted it */
export function readToken(text: string): Session {
  const token = text.trim().replace(/^Bearer\s+/i, '');
  const parts = token.split('.');
  if (parts.length !== 3)
    throw new Error('That isn’t a valid JWT: it must have three parts separated by dots.');
  let claims: Record<string, unknown>;
  try {
    const bytes = Uint8Array.from(atob((parts[1] as string).replaceAll('-', '+').replaceAll('_', '/')), (c) =>
      c.charCodeAt(0),
    );
    claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch {
    throw new Error('That isn’t a valid JWT: its payload can’t be decoded.');
  }
  const role = claims.role === 'admin' || claims.role === 'supervisor' ? claims.role : 'user';
  const expiresAt = typeof claims.exp === 'number' ? claims.exp * 1000 : null;
  const userId = typeof claims.sub === 'string' ? claims.sub : '';
  return {
    token,
    userId,
    username: typeof claims.username === 'string' ? claims.username : userId,
    role,
    expiresAt,
  };
}

export function begin(next: Session): void {
  clearTimeout(expiry);
  endedBecause.value = null;
  session.value = next;
  if (next.expiresAt === null) return;
  const left = next.expiresAt - Date.now();
  if (left < LONGEST_TIMER)
    expiry = setTimeout(() => end('Your access token has expired.'), Math.max(left, 0));
}

/** The address stays as it is, so that the next session continues where this one ended. */
export function end(reason: string | null = null): void {
  clearTimeout(expiry);
  session.value = null;
  endedBecause.value = reason;
}
