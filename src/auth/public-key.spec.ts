import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readJwk, readPublicKey } from './public-key.js';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const ed = generateKeyPairSync('ed25519');

const pemOf = (key: KeyObject) =>
  key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' }).toString();
const jwkOf = (key: KeyObject, more: object = {}) => ({
  ...key.export({ format: 'jwk' }),
  kid: 'k',
  ...more,
});
const secretKey = { kty: 'oct', k: Buffer.alloc(32, 1).toString('base64url'), kid: 'k' };

describe('JWT_PUBLIC_KEY', () => {
  it.each([
    ['an RSA key of 2,048 bits', rsa],
    ['an EC key on P-256', ec],
  ])('may be %s', (_, pair) => {
    expect(readPublicKey(pemOf(pair.publicKey)).equals(pair.publicKey)).toBe(true);
  });

  it.each([
    ['an RSA key of 1,024 bits', pemOf(weak.publicKey), /2,048 bits/],
    ['an EC key on another curve', pemOf(p384.publicKey), /EC P-256/],
    ['a key for EdDSA', pemOf(ed.publicKey), /EC P-256/],
    ['a private RSA key', pemOf(rsa.privateKey), /private key/],
    ['a private EC key', pemOf(ec.privateKey), /private key/],
    ['a public key with its private key', pemOf(ec.publicKey) + pemOf(ec.privateKey), /private key/],
    ['no key', 'no key at all', /PEM/],
  ])('is refused when it is %s, and not repeated', (_, pem, reason) => {
    expect(() => readPublicKey(pem)).toThrow(reason);
    expect(() => readPublicKey(pem)).not.toThrow(pem.split('\n')[1] ?? pem);
  });
});

describe('a published key', () => {
  it.each([
    ['an RSA key', rsa, 'RS256', {}],
    ['an EC key', ec, 'ES256', {}],
    ['a key that says what it is for', ec, 'ES256', { use: 'sig', alg: 'ES256', key_ops: ['verify'] }],
  ])('verifies one algorithm: %s', (_, pair, algorithm, more) => {
    const key = readJwk(jwkOf(pair.publicKey, more));
    expect([key?.kid, key?.algorithm]).toEqual(['k', algorithm]);
    expect(key?.key.equals(pair.publicKey)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['an RSA key of 1,024 bits', jwkOf(weak.publicKey)],
    ['an RSA key with the exponent 1', jwkOf(rsa.publicKey, { e: 'AQ' })],
    ['an EC key on another curve', jwkOf(p384.publicKey)],
    ['a key for EdDSA', jwkOf(ed.publicKey)],
    ['a shared secret', secretKey],
    ['a private key', jwkOf(ec.privateKey)],
    ['a key for encryption', jwkOf(rsa.publicKey, { use: 'enc' })],
    ['a key that may only encrypt', jwkOf(rsa.publicKey, { key_ops: ['encrypt'] })],
    ['another algorithm of its kind', jwkOf(rsa.publicKey, { alg: 'RS512' })],
    ['an algorithm of the other kind', jwkOf(ec.publicKey, { alg: 'RS256' })],
    ['an algorithm that is no text', jwkOf(ec.publicKey, { alg: ['ES256'] })],
    ['a key without an id', jwkOf(ec.publicKey, { kid: undefined })],
    ['an id that is no text', jwkOf(ec.publicKey, { kid: 1 })],
    ['a point that is not on the curve', jwkOf(ec.publicKey, { x: 'AA' })],
    ['null', null],
    ['a text', 'key'],
  ])('is passed over when it is %s', (_, jwk) => {
    expect(readJwk(jwk)).toBeUndefined();
  });
});
