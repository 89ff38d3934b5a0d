import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

const FORGET = { name: 'activity_forget', text: 'SELECT activity_forget($1, $2) AS forgotten' };
const BATCH = 1000;

/** Forgets entries that are older than ACTIVITY_RETENTION_DAYS. */
@Injectable()
export class ActivitySweeper extends Sweeper {
  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    super('Activity sweeper', config.sweepIntervalSeconds);
  }

  async sweep(stopped?: AbortSignal): Promise<void> {
    while (!stopped?.aborted) {
      const values = [this.config.activityRetentionDays, BATCH];
      const row = await this.database.row<{ forgotten: number }>(FORGET, values);
      if ((row?.forgotten ?? 0) < BATCH) return;
    }
  }
}
