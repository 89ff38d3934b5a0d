import type { KeyObject } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { boundedFetch } from '../common/http/bounded-fetch.js';
import { InvalidToken, KEYS_RETRY_SECONDS, KeysUnavailable } from './auth.errors.js';
import { type PublicKeyAlgorithm, type PublishedKey, readJwk } from './public-key.js';

/** For a whole fetch, from the connection to the last byte. */
const DEADLINE_MILLISECONDS = 3000;
/** Of an answer after decompression; a key set has a few kB. */
const MAXIMUM_BYTES = 1_000_000;
const MAXIMUM_KEYS = 100;
/** From this age on keys are fetched again in the background. */
const REFRESH_MILLISECONDS = 60_000;
/** From this age on a request waits for the fetch, unless the last one has failed. */
const STALE_MILLISECONDS = 120_000;
/** How long known keys serve while none can be fetched; a key that was withdrawn meanwhile ends here at last. */
const TRUSTED_MILLISECONDS = 86_400_000;
/** Fetches that may follow each other at once; after them one each KEYS_RETRY_SECONDS. */
const FETCHES_AT_ONCE = 5;

/**
 * The keys that the authentication service publishes (JWKS). Each fetch brings all of them: the limit on fetches then
 * costs only tokens with unknown key ids, so made-up ids cannot shut other callers out. Ages are measured
 * with a monotonic clock. jose's remote key set is no substitute: once its cache is too old, a fetch that fails refuses the
 * tokens of keys that it knew, and by itself it limits neither the size of an answer nor the number of keys.
 */
export class PublishedKeys {
  private readonly logger = new Logger(PublishedKeys.name);
  private keys = new Map<string, KeyObject>();
  private fetchedAt = -Infinity;
  private hasFailed = false;
  private fetching: Promise<void> | undefined;
  private allowance = FETCHES_AT_ONCE;
  private allowanceAt = performance.now();

  constructor(private readonly uri: string) {}

  /**
   * The key with this id for this algorithm.
   *
   * @throws InvalidToken for a key that is not published, KeysUnavailable when that cannot be found out
   */
  async find(kid: string, algorithm: PublicKeyAlgorithm): Promise<KeyObject> {
    const name = nameOf(kid, algorithm);
    const known = this.keys.get(name);
    const age = performance.now() - this.fetchedAt;
    if (known !== undefined && age < REFRESH_MILLISECONDS) return known;
    const fetched = this.refresh();
    if (known !== undefined && (age < STALE_MILLISECONDS || (this.hasFailed && age < TRUSTED_MILLISECONDS)))
      return known;
    if (await fetched) {
      const key = this.keys.get(name);
      if (key === undefined) throw new InvalidToken();
      return key;
    }
    if (known !== undefined && age < TRUSTED_MILLISECONDS) return known;
    throw new KeysUnavailable();
  }

  /** Whether the keys have been fetched; false also while no fetch is allowed. Never fails. */
  private async refresh(): Promise<boolean> {
    if (this.fetching === undefined && !this.mayFetch()) return false;
    this.fetching ??= this.fetch().finally(() => (this.fetching = undefined));
    try {
      await this.fetching;
      return true;
    } catch {
      return false;
    }
  }

  private mayFetch(): boolean {
    const now = performance.now();
    const regained = (now - this.allowanceAt) / (KEYS_RETRY_SECONDS * 1000);
    this.allowance = Math.min(FETCHES_AT_ONCE, this.allowance + regained);
    this.allowanceAt = now;
    if (this.allowance < 1) return false;
    this.allowance--;
    return true;
  }

  private async fetch(): Promise<void> {
    try {
      const published = await fetchKeys(this.uri);
      this.keys = this.byName(published);
      this.fetchedAt = performance.now();
      this.hasFailed = false;
    } catch (error) {
      this.hasFailed = true;
      this.logger.warn(`The signing keys could not be fetched: ${reasonOf(error)}`);
      throw error;
    }
  }

  /** Of two keys with one id and one algorithm the first counts. */
  private byName(published: PublishedKey[]): Map<string, KeyObject> {
    const keys = new Map<string, KeyObject>();
    for (const { kid, algorithm, key } of published) {
      const name = nameOf(kid, algorithm);
      const first = keys.get(name);
      if (first === undefined) keys.set(name, key);
      else if (!first.equals(key)) this.logger.warn('Two signing keys have one id: the first of them counts');
    }
    return keys;
  }
}

/** An RSA key and an EC key may have the same id. */
function nameOf(kid: string, algorithm: PublicKeyAlgorithm): string {
  return `${algorithm} ${kid}`;
}

/** @throws for an answer that is late, too long, or without a usable key */
async function fetchKeys(uri: string): Promise<PublishedKey[]> {
  const { status, text } = await boundedFetch(uri, {
    headers: { accept: 'application/json' },
    deadlineMilliseconds: DEADLINE_MILLISECONDS,
    maximumBytes: MAXIMUM_BYTES,
  });
  if (status !== 200) throw new Error(`the answer has status ${status}`);
  const { keys } = (JSON.parse(text) ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('the answer is not a key set');
  if (keys.length > MAXIMUM_KEYS) throw new Error(`the answer has more than ${MAXIMUM_KEYS} keys`);
  const usable = keys.map(readJwk).filter((key) => key !== undefined);
  // More likely a key server in trouble than one that wants every token refused.
  if (usable.length === 0) throw new Error('the answer has no key that verifies RS256 or ES256');
  return usable;
}

/** Why a fetch failed; a syntax error would repeat what was sent. */
function reasonOf(error: unknown): string {
  if (error instanceof SyntaxError) return 'the answer is no JSON';
  const { message, code } = error as NodeJS.ErrnoException;
  return code ?? message;
}
