import type { AccountClaims } from '../accounts/accounts.service.js';
import { roleOf } from '../common/http/caller.js';
import type { JwtConfig } from '../config/env.js';

/** The claims of a token whose signature is good; a token may have anything in them. */
export interface AccessTokenClaims {
  readonly sub: string;
  readonly iat?: number;
  readonly exp: number;
}

/**
 * The claim of that name; else what a path leads to, such as `realm_access.roles`. A whole name wins over a path, because
 * names such as `https://example.com/roles` have dots, too.
 */
export function claimAt(claims: unknown, path: string): unknown {
  if (typeof claims !== 'object' || claims === null) return undefined;
  const own = claims as Record<string, unknown>;
  if (Object.hasOwn(own, path)) return own[path];
  for (let dot = path.indexOf('.'); dot !== -1; dot = path.indexOf('.', dot + 1)) {
    const name = path.slice(0, dot);
    const found = Object.hasOwn(own, name) ? claimAt(own[name], path.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a token says of its user; of several roles the highest. A name or an e-mail that is no text is refused later. */
export function accountOf(claims: AccessTokenClaims, { claims: names }: JwtConfig): AccountClaims {
  return {
    userId: claims.sub,
    username: claimAt(claims, names.username) as string,
    email: claimAt(claims, names.email) as string,
    role: roleOf(claimAt(claims, names.role)),
  };
}
