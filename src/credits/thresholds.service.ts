import { Inject, Injectable } from '@nestjs/common';
import { InjectThrottlerStorage, type ThrottlerStorage } from '@nestjs/throttler';
import type { Originated } from '../common/database/activity.js';
import { Changes } from '../common/database/changes.js';
import { type AccountRequest, Database, operation, type Refused } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import type { Author } from '../common/http/author.js';
import { countChange } from '../common/http/rate-limit.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { LowThresholdDto } from './dto/thresholds.dto.js';

const READ = {
  name: 'credit_low_threshold',
  text: 'SELECT low_threshold AS threshold FROM credit_balances WHERE account_id = $1',
};

/** Sets when an account is low; null: as the service is configured. */
const SET_LOW_THRESHOLD = operation<
  AccountRequest & Originated & { threshold: number | null },
  Refused<'ok' | 'user_not_found'>
>('credit_set_low_threshold');

/** Changes of one user's threshold in a minute: each takes the balance's lock, and may emit an event to every endpoint. */
const MAXIMUM_CHANGES = 10;

/** When a user's credits are low. */
@Injectable()
export class ThresholdsService {
  constructor(
    private readonly database: Database,
    private readonly changes: Changes,
    @InjectThrottlerStorage() private readonly windows: ThrottlerStorage,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws AccountNotFound */
  async get(userId: string): Promise<LowThresholdDto> {
    const row = await this.database.row<{ threshold: string | null }>(READ, [userId]);
    if (row === undefined) throw new AccountNotFound();
    return this.describe(userId, row.threshold === null ? null : toSafeInteger(row.threshold));
  }

  /**
   * Allows ten changes a minute for one user, whether the user or a supervisor makes them: each change may emit an event.
   *
   * @param threshold null: as everyone's
   * @throws AccountNotFound, RateLimited, ServiceUnavailable
   */
  async set({ origin }: Author, userId: string, threshold: number | null): Promise<LowThresholdDto> {
    const turn = `low-threshold:${userId}`;
    await countChange(this.windows, turn, MAXIMUM_CHANGES);
    const answer = await this.changes.call(turn, SET_LOW_THRESHOLD, { accountId: userId, threshold, origin });
    if (answer.outcome !== 'ok') throw new AccountNotFound();
    return this.describe(userId, threshold);
  }

  private describe(userId: string, own: number | null): LowThresholdDto {
    return { userId, threshold: own ?? this.config.events.lowThreshold, isDefault: own === null };
  }
}
