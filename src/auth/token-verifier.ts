import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { JwksClient } from 'jwks-rsa';
import type { JwtConfig } from '../config/env.js';
import { InvalidToken, KeysUnavailable } from './auth.errors.js';

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

function readPublicKey(pem: string): KeyObject {
  try {
    const key = createPublicKey(pem);
    const curve = key.asymmetricKeyDetails?.namedCurve;
    if (key.asymmetricKeyType === 'rsa' || curve === 'prime256v1') return key;
  } catch {
    // Said below, without what was given.
  }
  throw new Error('JWT_PUBLIC_KEY must be a public key in PEM form (RSA or EC P-256)');
}

function jwksKeyProvider(jwksUri: string): KeyProvider {
  const published = new PublishedKeys(jwksUri);
  return (_request, token, done) => {
    const kid = keyIdOf(token);
    if (kid === undefined) return done(new InvalidToken());
    published
      .find(kid)
      .then((key) => done(null, key))
      // Also what fails in the verification itself: nobody else would hear of it here.
      .catch((error: unknown) => done(error));
  };
}

const FRESH_MILLISECONDS = 600_000;
/** How long known keys serve when the authentication service cannot be asked; a key it withdrew ends here at last. */
const TRUSTED_MILLISECONDS = 86_400_000;
const FETCHES_PER_MINUTE = 10;

/**
 * The keys of the authentication service by `kid`. Each fetch brings all of them: a limit on fetches then costs only
 * tokens of unknown keys, so that nobody can shut others out by using the limit up with made-up ids.
 */
class PublishedKeys {
  private readonly client: JwksClient;
  private keys = new Map<string, KeyObject>();
  private fetchedAt = 0;
  private attempts: number[] = [];
  private fetching: Promise<void> | undefined;

  constructor(jwksUri: string) {
    this.client = new JwksClient({ jwksUri, cache: false, timeout: 3000 });
  }

  /** @throws InvalidToken for a key that is not published, KeysUnavailable when that cannot be found out */
  async find(kid: string): Promise<KeyObject> {
    const known = this.keys.get(kid);
    const age = Date.now() - this.fetchedAt;
    if (known !== undefined && age < FRESH_MILLISECONDS) return known;
    try {
      this.fetching ??= this.fetch().finally(() => (this.fetching = undefined));
      await this.fetching;
    } catch {
      if (known !== undefined && age < TRUSTED_MILLISECONDS) return known;
      throw new KeysUnavailable();
    }
    const key = this.keys.get(kid);
    if (key === undefined) throw new InvalidToken();
    return key;
  }

  private async fetch(): Promise<void> {
    const now = Date.now();
    this.attempts = this.attempts.filter((attempt) => attempt > now - 60_000);
    if (this.attempts.length >= FETCHES_PER_MINUTE) throw new KeysUnavailable();
    this.attempts.push(now);
    const published = await this.client.getSigningKeys();
    this.keys = new Map(published.map((key) => [key.kid, createPublicKey(key.getPublicKey())]));
    this.fetchedAt = now;
  }
}

function keyIdOf(token: string): string | undefined {
  const { kid } = partOf(token, 0) as { kid?: unknown };
  return typeof kid === 'string' && kid.length <= 200 ? kid : undefined;
}

/** When a bearer token that has been verified ends, in milliseconds since 1970. */
export function expiryOf(authorization: string): number {
  const { exp } = partOf(authorization.replace(/^Bearer /i, ''), 1) as { exp: number };
  return exp * 1000;
}

/** The header (0) or the claims (1) of a token that nobody has verified yet; undefined when they are no JSON. */
function partOf(token: string, index: 0 | 1): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
