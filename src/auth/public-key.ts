import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';

/** Shorter RSA keys are no longer safe (NIST SP 800-131A). */
const MINIMUM_RSA_BITS = 2048;
/** With an exponent of 1 a signature is the text itself, so anyone could sign. */
const MINIMUM_RSA_EXPONENT = 3n;

export type PublicKeyAlgorithm = 'RS256' | 'ES256';

export function isPublicKeyAlgorithm(value: unknown): value is PublicKeyAlgorithm {
  return value === 'RS256' || value === 'ES256';
}

/** The one algorithm that a public key verifies here: RS256 for RSA of 2,048 bits and more, ES256 for EC P-256. */
export function algorithmOf(key: KeyObject): PublicKeyAlgorithm | undefined {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ec') return namedCurve === 'prime256v1' ? 'ES256' : undefined;
  const isStrong = modulusLength >= MINIMUM_RSA_BITS && publicExponent >= MINIMUM_RSA_EXPONENT;
  return key.asymmetricKeyType === 'rsa' && isStrong ? 'RS256' : undefined;
}

/**
 * A public key in PEM form.
 *
 * @throws Error naming JWT_PUBLIC_KEY, without what was given
 */
export function readPublicKey(pem: string): KeyObject {
  if (pem.includes('PRIVATE KEY')) {
    throw new Error(
      'JWT_PUBLIC_KEY contains a private key, which only the authentication service may have: set its public key instead',
    );
  }
  try {
    const key = createPublicKey(pem);
    if (algorithmOf(key) !== undefined) return key;
  } catch {
    // Said below, without what was given.
  }
  throw new Error('JWT_PUBLIC_KEY must be a public key in PEM form: RSA of 2,048 bits or more, or EC P-256');
}

export interface PublishedKey {
  readonly kid: string;
  readonly algorithm: PublicKeyAlgorithm;
  readonly key: KeyObject;
}

/** A key of a key set (RFC 7517) that verifies signatures here; undefined for every other. */
export function readJwk(jwk: unknown): PublishedKey | undefined {
  const { kid, use = 'sig', alg, key_ops: uses, d: privatePart } = (jwk ?? {}) as Record<string, unknown>;
  if (typeof kid !== 'string' || use !== 'sig' || privatePart !== undefined) return undefined;
  if (uses !== undefined && !(Array.isArray(uses) && uses.includes('verify'))) return undefined;
  try {
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    const algorithm = algorithmOf(key);
    if (algorithm === undefined || (alg !== undefined && alg !== algorithm)) return undefined;
    return { kid, algorithm, key };
  } catch {
    return undefined;
  }
}
