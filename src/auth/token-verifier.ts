import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { JwksClient } from 'jwks-rsa';
import type { JwtConfig } from '../config/env.js';

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
  if (config.jwksUri !== undefined) return jwksKeyProvider(config.jwksUri);
  const key =
    config.accessSecret !== undefined
      ? createSecretKey(Buffer.from(config.accessSecret, 'utf8'))
      : readPublicKey(config.publicKey ?? '');
  return (_request, _token, done) => done(null, key);
}

function readPublicKey(pem: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch {
    throw new Error('JWT_PUBLIC_KEY must be a public key in PEM form (RSA or EC P-256)');
  }
}

/** Keys by `kid`; the client caches them and limits how often unknown ids may ask the authentication service. */
function jwksKeyProvider(jwksUri: string): KeyProvider {
  const client = new JwksClient({
    jwksUri,
    cache: true,
    rateLimit: true,
    jwksRequestsPerMinute: 10,
    timeout: 3000,
  });
  const keys = new Map<string, KeyObject>();
  return (_request, token, done) => {
    const kid = keyIdOf(token);
    if (kid === undefined) return done(new Error('the token names no key'));
    client.getSigningKey(kid).then(
      (signingKey) => {
        const pem = signingKey.getPublicKey();
        let key = keys.get(pem);
        if (key === undefined) {
          key = createPublicKey(pem);
          // A handful of keys is in use at a time; forgetting the rest keeps this bounded over years of rotation.
          if (keys.size >= 32) keys.clear();
          keys.set(pem, key);
        }
        done(null, key);
      },
      (error: unknown) => done(error),
    );
  };
}

function keyIdOf(token: string): string | undefined {
  try {
    const header = JSON.parse(
      Buffer.from(token.split('.')[0] ?? '', 'base64url').toString('utf8'),
    ) as unknown;
    const kid = (header as { kid?: unknown }).kid;
    return typeof kid === 'string' && kid.length <= 200 ? kid : undefined;
  } catch {
    return undefined;
  }
}
