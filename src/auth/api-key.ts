import { createHash, randomBytes } from 'node:crypto';

const PREFIX = 'ak_';
/** 256 bits, which nobody guesses: so a plain SHA-256 protects a stored key, without salt or stretching. */
const SECRET_BYTES = 32;
const FORM = /^ak_[A-Za-z0-9_-]{43}$/;

/** A new key, as its owner sees it once. */
export function generateApiKey(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a text has the form of a key; one that has not need not be looked up. */
export function isApiKey(text: string): boolean {
  return FORM.test(text);
}

/** What is stored of a key, and looked up: its SHA-256 in hexadecimal. */
export function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** What tells a person which key it is, and gives nothing of it away: 24 of its 256 bits. */
export function hintOf(key: string): string {
  return `${PREFIX}…${key.slice(-4)}`;
}
