import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { toSafeInteger } from '../common/database/transformers.js';
import { AccountNotFound } from '../common/errors/service-error.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import type { LowThresholdDto } from './dto/events.responses.js';

const READ = {
  name: 'credit_low_threshold',
  text: 'SELECT low_threshold AS threshold FROM credit_balances WHERE user_id = $1',
};
const SET = { name: 'credit_set_low_threshold', text: 'SELECT credit_set_low_threshold($1, $2) AS answer' };

/** When a user's credits are low. */
@Injectable()
export class ThresholdsService {
  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws AccountNotFound */
  async get(userId: string): Promise<LowThresholdDto> {
    const row = await this.database.row<{ threshold: string | null }>(READ, [userId]);
    if (row === undefined) throw new AccountNotFound();
    return this.describe(userId, row.threshold === null ? null : toSafeInteger(row.threshold));
  }

  /** @param threshold null: as everyone's @throws AccountNotFound */
  async set(userId: string, threshold: number | null): Promise<LowThresholdDto> {
    const row = await this.database.row<{ answer: { outcome: string } }>(SET, [userId, threshold]);
    if (row?.answer.outcome !== 'ok') throw new AccountNotFound();
    return this.describe(userId, threshold);
  }

  private describe(userId: string, own: number | null): LowThresholdDto {
    return { userId, threshold: own ?? this.config.events.lowThreshold, isDefault: own === null };
  }
}
