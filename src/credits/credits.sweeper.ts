import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { PeriodicTask } from '../common/periodic-task.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { MoneyFunctions } from './money-functions.js';

const BATCH = 100;
const KEYS_PER_BATCH = 1000;
const MAXIMUM_BATCHES = 100;

const USERS_WITH_EXPIRED_LOTS = {
  name: 'credit_users_with_expired_lots',
  text: `SELECT DISTINCT user_id FROM (
           SELECT user_id FROM credit_allocations WHERE is_open AND expires_at <= now()
            ORDER BY expires_at LIMIT $1) due`,
};

/**
 * Writes off expired lots and forgets old idempotency keys. Every instance runs it; two at once do no harm, and nothing
 * is wrong when none does: whoever touches a user's money writes off what has expired first.
 */
@Injectable()
export class CreditsSweeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly task: PeriodicTask;

  constructor(
    private readonly database: Database,
    private readonly money: MoneyFunctions,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    const logger = new Logger(CreditsSweeper.name);
    this.task = new PeriodicTask(logger, 'Credits sweeper', config.sweepIntervalSeconds, () => this.sweep());
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.task.stop();
  }

  /** One pass. Answers the credits written off and the keys forgotten by this instance. */
  async sweep(): Promise<{ expiredCredits: number; forgottenKeys: number }> {
    let expiredCredits = 0;
    for (let batch = 0; batch < MAXIMUM_BATCHES; batch++) {
      const users = await this.database.rows<{ user_id: string }>(USERS_WITH_EXPIRED_LOTS, [BATCH]);
      let expiredNow = 0;
      for (const { user_id: userId } of users) {
        // A busy user's lots are written off by whoever holds the lock, in the lock's own transaction.
        const answer = await this.money.expire(userId, false);
        if (answer.outcome === 'ok') expiredNow += answer.expiredCredits;
      }
      expiredCredits += expiredNow;
      if (users.length < BATCH || expiredNow === 0) break;
    }
    return { expiredCredits, forgottenKeys: await this.money.forgetIdempotencyKeys(KEYS_PER_BATCH) };
  }
}
