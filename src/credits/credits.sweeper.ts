import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { isOutage } from '../common/errors/database-errors.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { EXPIRE, FORGET_KEYS } from './credits.operations.js';

/** Lots looked up at a time, and the most that one pass looks at. */
const BATCH = 100;
const MAXIMUM_PER_PASS = 10_000;
const KEYS_PER_BATCH = 1000;
const KEY_BATCHES = 100;

/** In the order of their expiry, each batch after the last one of the batch before, so that none is met twice. */
const EXPIRED_LOTS = {
  name: 'credit_expired_lots',
  text: `SELECT account_id, id, expires_at::text FROM credit_allocations
          WHERE is_open AND expires_at <= now() AND (expires_at, id) > ($2::timestamptz, $3)
          ORDER BY expires_at, id LIMIT $1`,
};

interface ExpiredLot {
  account_id: string;
  id: string;
  expires_at: string;
}

/**
 * Writes off expired lots and forgets old idempotency keys. Every instance runs it; two at once do no harm, and nothing
 * is wrong when none does: a movement writes off what has expired first.
 */
@Injectable()
export class CreditsSweeper extends Sweeper {
  constructor(
    private readonly database: Database,
    private readonly metrics: Metrics,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Credits sweeper', config.sweepIntervalSeconds);
  }

  /** One pass. Answers the credits written off and the keys forgotten by this instance. */
  async sweep(stopped?: AbortSignal): Promise<{ expiredCredits: number; forgottenKeys: number }> {
    let expiredCredits = 0;
    for await (const users of this.usersWithExpiredLots()) {
      if (stopped?.aborted) break;
      for (const userId of users) {
        // A busy user is left to the movement that holds the lock, and to the next pass.
        try {
          const answer = await this.database.call(EXPIRE, { accountId: userId, wait: false });
          if (answer.outcome === 'ok') expiredCredits += answer.expiredCredits;
        } catch (error) {
          // One user whose books are wrong must not keep the others from it.
          if (isOutage(error)) throw error;
          this.logger.error(`Expired lots of ${userId} cannot be written off: ${(error as Error).message}`);
        }
      }
    }
    this.metrics.countExpiredCredits(expiredCredits);
    let forgottenKeys = 0;
    for (let pass = 0; pass < KEY_BATCHES && !stopped?.aborted; pass++) {
      const row = await this.database.row<{ forgotten: string }>(FORGET_KEYS, [KEYS_PER_BATCH]);
      const forgotten = Number(row?.forgotten ?? 0);
      forgottenKeys += forgotten;
      if (forgotten < KEYS_PER_BATCH) break;
    }
    return { expiredCredits, forgottenKeys };
  }

  private async *usersWithExpiredLots(): AsyncGenerator<Set<string>> {
    let last: Pick<ExpiredLot, 'expires_at' | 'id'> = { expires_at: '-infinity', id: '0' };
    for (let found = 0; found < MAXIMUM_PER_PASS; found += BATCH) {
      const lots = await this.database.rows<ExpiredLot>(EXPIRED_LOTS, [BATCH, last.expires_at, last.id]);
      yield new Set(lots.map((lot) => lot.account_id));
      if (lots.length < BATCH) return;
      last = lots.at(-1) as ExpiredLot;
    }
  }
}
