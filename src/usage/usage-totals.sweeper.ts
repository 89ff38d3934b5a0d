import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

const CLOSE_DAY = { name: 'usage_close_day', text: 'SELECT usage_close_day() AS "hasClosed"' };
const MAKE_LEADERS = { name: 'usage_make_leaders', text: 'SELECT usage_make_leaders() AS "hasMade"' };
/** The most of one run; the first runs of a service with years of usage close its past. */
const MAXIMUM_DAYS = 100;
/** The rest after a list that takes longer than a report may. */
const REST_MILLISECONDS = 3_600_000;

/** Adds up days that are over, and makes the lists of largest users that were asked for. Every instance runs it; the database lets one at a time. */
@Injectable()
export class UsageTotalsSweeper extends Sweeper {
  private makesFrom = 0;

  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Usage totals sweeper', config.sweepIntervalSeconds);
  }

  async sweep(stopped?: AbortSignal): Promise<void> {
    await this.closeDays(stopped);
    if (Date.now() < this.makesFrom) return;
    try {
      let hasMade: boolean | undefined = true;
      while (hasMade && !stopped?.aborted)
        hasMade = (await this.database.report<{ hasMade: boolean }>(MAKE_LEADERS))[0]?.hasMade;
    } catch (error) {
      this.makesFrom = Date.now() + REST_MILLISECONDS;
      throw error;
    }
  }

  /** Day by day, so that no statement takes long. */
  private async closeDays(stopped: AbortSignal | undefined): Promise<void> {
    for (let days = 0; days < MAXIMUM_DAYS && !stopped?.aborted; days++) {
      const row = await this.database.row<{ hasClosed: boolean }>(CLOSE_DAY);
      if (!row?.hasClosed) return;
    }
  }
}
