import { createHash, randomBytes } from 'node:crypto';

export const API_KEY_PREFIX = 'ak_';
/** Of keys that also work at a gateway: proxies of the OpenAI kind take no key of another's choosing that begins otherwise. */
export const GATEWAY_KEY_PREFIX = 'sk-ak_';
/** 256 bits, which cannot be guessed: so a plain SHA-256 protects a stored key, without salt or stretching. */
const SECRET_BYTES = 32;
/** How every key begins, in a regular expression. */
export const API_KEY_START = '(?:sk-)?ak_';
const FORM = new RegExp(`^${API_KEY_START}[A-Za-z0-9_-]{43}$`);
const BEARER = new RegExp(`^bearer +${API_KEY_START}`, 'i');

/** A new key, as its owner sees it once. */
export function generateApiKey(prefix = API_KEY_PREFIX): string {
  return prefix + randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a text has the form of a key; one that has not need not be looked up. */
export function isApiKey(text: string): boolean {
  return FORM.test(text);
}

/** Whether an Authorization header has an API key in the place of a token. */
export function isBearerApiKey(authorization: string | undefined): boolean {
  return BEARER.test(authorization ?? '');
}

/** What is stored of a key, and looked up: its SHA-256 in hexadecimal. */
export function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** By what a person recognises a key, and which gives nothing of it away: 24 of its 256 bits. */
export function hintOf(key: string): string {
  const prefix = key.startsWith(GATEWAY_KEY_PREFIX) ? GATEWAY_KEY_PREFIX : API_KEY_PREFIX;
  return `${prefix}…${key.slice(-4)}`;
}
