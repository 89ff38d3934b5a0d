import { createSecretKey, type KeyObject } from 'node:crypto';
import type { JwtConfig } from '../config/env.js';
import { InvalidToken } from './auth.errors.js';
import type { AccessTokenClaims } from './claims.js';
import { isPublicKeyAlgorithm, readPublicKey } from './public-key.js';
import { PublishedKeys } from './published-keys.js';

const KEY_ID_LENGTH = 200;

export type KeyProvider = (
  request: unknown,
  token: string,
  done: (error: unknown, key?: KeyObject) => void,
) => void;

/**
 * The key that tokens are verified with, as a KeyObject: given a string, every verification would build a key anew.
 *
 * @throws Error naming JWT_PUBLIC_KEY when it cannot be read as a key
 */
export function keyProvider(config: JwtConfig): KeyProvider {
  const find = keyFinder(config);
  return (request, token, done) =>
    isVerifiable(token) ? find(request, token, done) : done(new InvalidToken());
}

/**
 * jsonwebtoken stumbles over claims of `null`, and takes tokens with extensions that it does not understand although they
 * call themselves critical (RFC 7515, 4.1.11).
 */
function isVerifiable(token: string): boolean {
  const header = partOf(token, 0);
  if (typeof header !== 'object' || header === null || 'crit' in header) return false;
  const claims = partOf(token, 1);
  return claims !== null && claims !== undefined;
}

function keyFinder(config: JwtConfig): KeyProvider {
  if (config.jwksUri !== undefined) return jwksKeyProvider(config.jwksUri);
  const key =
    config.accessSecret !== undefined
      ? createSecretKey(Buffer.from(config.accessSecret, 'utf8'))
      : readPublicKey(config.publicKey ?? '');
  return (_request, _token, done) => done(null, key);
}

function jwksKeyProvider(jwksUri: string): KeyProvider {
  const published = new PublishedKeys(jwksUri);
  return (_request, token, done) => {
    const { kid, alg } = partOf(token, 0) as { kid?: unknown; alg?: unknown };
    const isPossible = typeof kid === 'string' && kid.length <= KEY_ID_LENGTH && isPublicKeyAlgorithm(alg);
    if (!isPossible) return done(new InvalidToken());
    published
      .find(kid, alg)
      .then((key) => done(null, key))
      // Also what fails in the verification itself: it would be reported nowhere else.
      .catch((error: unknown) => done(error));
  };
}

/** When a bearer token that has been verified ends, in milliseconds since 1970. */
export function expiryOf(authorization: string): number {
  return (claimsOf(authorization) as AccessTokenClaims).exp * 1000;
}

/** The claims of a token, with or without its scheme; undefined where there are none. They are worth what its signature is. */
export function claimsOf(authorization: string): AccessTokenClaims | undefined {
  return partOf(authorization.replace(/^Bearer +/i, ''), 1) as AccessTokenClaims | undefined;
}

/** The header (0) or the claims (1) of a token that is not verified yet; undefined when they are no JSON. */
function partOf(token: string, index: 0 | 1): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
