import type { Request } from 'express';

/** What an API key can be allowed to do. */
export const PERMISSIONS = [
  'credits:read',
  'usage:read',
  'usage:write',
  'sessions:write',
  'pricing:read',
] as const;
export type Permission = (typeof PERMISSIONS)[number];

export const ROLES = ['user', 'supervisor', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** How the ledger names a trusted service; no user may have an id that begins so. */
export const INTERNAL_ACTOR = 'service:internal';

/** Who is asking, and on whose account. */
export interface Caller {
  /**
   * `user`: an access token. `api_key`: a key of the user. `internal`: a trusted service that named the user, or asks
   * nothing of a user.
   */
  readonly kind: 'user' | 'api_key' | 'internal';
  /** Who spends, and whose sessions and usage the request is about; empty for an internal caller that names no user. */
  readonly userId: string;
  /** Who pays: the user's personal account, or an organisation. A movement itself asks whether the user is a member. */
  readonly accountId: string;
  /** In an organisation, whether a read shows everyone's or the user's own. */
  readonly sees?: 'all' | 'own';
  /** Whether it may change what other members have made in the organisation. */
  readonly manages?: boolean;
  readonly role: Role;
  /** Who did it, for the ledger: the user's id, `service:api-key-<id>`, or `service:internal`. */
  readonly actor: string;
  /** Whether the request came through a trusted service, with or without a forwarded token. */
  readonly isTrustedService: boolean;
  /** The key the request was made with; its limit counts. */
  readonly apiKeyId: number | null;
  /** What the key may do; null for a caller that is not limited to a key's permissions. */
  readonly permissions: readonly Permission[] | null;
}

export interface AuthenticatedRequest extends Request {
  user?: Caller;
  /** Why authentication failed; the access guard throws it where a caller is needed. */
  authenticationError?: Error;
  isTrustedService?: boolean;
  /** Of a person who has signed in to the console: when that ends at the latest, in milliseconds since 1970. */
  sessionEndsAt?: number;
}

/** The highest role that a claim names, alone or in a list. Least privilege: what this service does not know counts as `user`. */
export function roleOf(claim: unknown): Role {
  const named: unknown[] = Array.isArray(claim) ? claim : [claim];
  return ROLES.findLast((role) => named.includes(role)) ?? 'user';
}

/** Whether a role may do what `needed` may: admins may do all that supervisors may. */
export function hasRole(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** Whose usage of the account a read shows: undefined for everyone's. */
export const seenUser = ({ sees, userId }: Caller): string | undefined =>
  sees === 'own' ? userId : undefined;

/** Idempotency keys belong to their caller: those of a user, and those of trusted services for a user, never meet. */
export function idempotencyScope(caller: Caller): string {
  return `${caller.kind === 'internal' ? 'service' : 'user'}:${caller.userId}`;
}
