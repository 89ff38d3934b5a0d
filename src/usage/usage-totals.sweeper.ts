import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

const CLOSE_DAY = { name: 'usage_close_day', text: 'SELECT usage_close_day() AS "hasClosed"' };
/** The most of one run; the first runs of a service with years of usage close its past. */
const MAXIMUM_DAYS = 100;

/** Adds up days that are over. Every instance runs it; the database lets one at a time. */
@Injectable()
export class UsageTotalsSweeper extends Sweeper {
  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Usage totals sweeper', config.sweepIntervalSeconds);
  }

  /** Closes what is to close, day by day, so that no statement takes long. */
  async sweep(): Promise<void> {
    for (let days = 0; days < MAXIMUM_DAYS; days++) {
      const row = await this.database.row<{ hasClosed: boolean }>(CLOSE_DAY);
      if (!row?.hasClosed) return;
    }
  }
}
