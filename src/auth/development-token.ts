import jwt from 'jsonwebtoken';
import type { Role } from '../common/http/caller.js';
import type { AppConfig } from '../config/env.js';

export interface TokenClaims {
  readonly sub: string;
  readonly role: Role;
  readonly username?: string | undefined;
  readonly email?: string | undefined;
}

/**
 * Signs what the authentication service would sign, with the secret that the service verifies with.
 *
 * @throws in production, and when tokens are verified by a public key, whose other half is not here
 */
export function developmentToken(config: AppConfig, claims: TokenClaims, hours: number): string {
  if (config.environment === 'production') throw new Error('no token is created here in production');
  const { accessSecret, claims: names, tokenType, issuer, audiences } = config.jwt;
  if (accessSecret === undefined) throw new Error('tokens can be created here only with JWT_ACCESS_SECRET');
  const payload = {
    // Also a path is the whole name of a claim here.
    [names.username]: claims.username ?? claims.sub,
    [names.email]: claims.email ?? `${claims.sub}@example.com`,
    [names.role]: claims.role,
    ...(tokenType === undefined ? {} : { [tokenType.claim]: tokenType.value }),
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(audiences.length === 0 ? {} : { aud: audiences }),
  };
  const options = { subject: claims.sub, expiresIn: Math.round(hours * 3600), algorithm: 'HS256' } as const;
  return jwt.sign(payload, accessSecret, options);
}
