import { computed, signal } from '@preact/signals';

export type Role = 'user' | 'supervisor' | 'admin';

export interface Session {
  readonly token: string;
  readonly userId: string;
  readonly username: string;
  /** Chooses what is shown; what is allowed is decided by the API alone. */
  readonly role: Role;
  /** Milliseconds since 1970; null: it does not say. */
  readonly expiresAt: number | null;
}

/** Only here, and gone with the page: never in a storage, a cookie or an address. */
export const session = signal<Session | null>(null);
/** Why the last session ended by itself. */
export const endedBecause = signal<string | null>(null);

const RANK: Record<Role, number> = { user: 0, supervisor: 1, admin: 2 };
export const isSupervisor = computed(() => RANK[session.value?.role ?? 'user'] >= RANK.supervisor);
export const isAdmin = computed(() => session.value?.role === 'admin');

/** Longest delay that a browser's timer takes; a longer one would end at once. */
const LONGEST_TIMER = 2 ** 31 - 1;
let expiry: ReturnType<typeof setTimeout> | undefined;

/** @throws Error with what is wrong with the text, for the person who pasted it */
export function readToken(text: string): Session {
  const token = text.trim().replace(/^Bearer\s+/i, '');
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error('This is no access token: it must have three parts between dots.');
  let claims: Record<string, unknown>;
  try {
    const bytes = Uint8Array.from(atob((parts[1] as string).replaceAll('-', '+').replaceAll('_', '/')), (c) =>
      c.charCodeAt(0),
    );
    claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  } catch {
    throw new Error('This is no access token: its middle part cannot be read.');
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

/** The address stays as it is, so that the next session goes on where this one ended. */
export function end(reason: string | null = null): void {
  clearTimeout(expiry);
  session.value = null;
  endedBecause.value = reason;
}
