import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { type AccountClaims, AccountsService } from '../accounts/accounts.service.js';
import { monotonicMilliseconds } from '../common/monotonic.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { Caller } from '../common/http/caller.js';

/** Tokens remembered per process, of up to MAXIMUM_LENGTH characters each. */
const KNOWN_TOKENS = 20_000;
const MAXIMUM_LENGTH = 4096;
/** A token is verified again after this, so that a key which the authentication service withdraws ends soon. */
const KNOWN_MILLISECONDS = 60_000;

interface KnownToken {
  readonly caller: Caller;
  readonly account: AccountClaims;
  /** The token's own end, in milliseconds since 1970. */
  readonly expiresAt: number;
  /** By the monotonic clock: a clock that is stepped back must not keep a withdrawn signing key alive. */
  readonly knownUntil: number;
}

/**
 * Tokens whose signature and claims were good a moment ago: they cost neither cryptography nor the database. Without it a
 * balance takes 200 µs of processor time in place of 154, a check 285 in place of 207 (HS256, Node 20.20, 50 clients).
 */
@Injectable()
export class KnownTokens {
  private readonly tokens = new LRUCache<string, KnownToken>({ max: KNOWN_TOKENS });

  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    private readonly accounts: AccountsService,
  ) {}

  /**
   * Who sends this Authorization header, if that is known and still true.
   *
   * @throws what writing the account throws, when another token has changed it meanwhile
   */
  async callerOf(authorization: string): Promise<Caller | undefined> {
    const known = this.tokens.get(authorization);
    if (known === undefined || monotonicMilliseconds() >= known.knownUntil) return undefined;
    if (Date.now() >= known.expiresAt) return undefined;
    await this.accounts.ensure(known.account);
    return known.caller;
  }

  /** @param expiresAt the token's `exp`, in seconds since 1970 */
  remember(authorization: string, caller: Caller, account: AccountClaims, expiresAt: number): void {
    if (authorization.length > MAXIMUM_LENGTH) return;
    this.tokens.set(authorization, {
      caller,
      account,
      expiresAt: (expiresAt + this.config.jwt.clockToleranceSeconds) * 1000,
      knownUntil: monotonicMilliseconds() + KNOWN_MILLISECONDS,
    });
  }
}
