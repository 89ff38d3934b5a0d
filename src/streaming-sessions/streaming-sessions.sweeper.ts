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
import { MoneyFunctions } from '../credits/money-functions.js';

/** Sessions looked up at a time; a pass goes on until none is stale. */
const BATCH = 100;
const MAXIMUM_BATCHES = 100;

const STALE_SESSIONS = {
  name: 'sessions_stale',
  text: `SELECT user_id, session_id FROM streaming_sessions
          WHERE status = 'active' AND expires_at <= now() ORDER BY expires_at LIMIT $1`,
};

/**
 * Ends sessions whose lease has run out. Every instance runs it: each session is ended by one SQL function that looks
 * again under the user's lock, so two sweepers, or a sweeper and a late finalize, end it once.
 */
@Injectable()
export class StreamingSessionsSweeper implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly task: PeriodicTask;

  constructor(
    private readonly database: Database,
    private readonly money: MoneyFunctions,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    const logger = new Logger(StreamingSessionsSweeper.name);
    this.task = new PeriodicTask(logger, 'Session sweeper', config.sweepIntervalSeconds, () => this.sweep());
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.task.stop();
  }

  /** One pass. Answers how many sessions this instance has ended. */
  async sweep(): Promise<number> {
    let ended = 0;
    for (let batch = 0; batch < MAXIMUM_BATCHES; batch++) {
      const stale = await this.database.rows<{ user_id: string; session_id: string }>(STALE_SESSIONS, [
        BATCH,
      ]);
      const busy: typeof stale = [];
      for (const session of stale) {
        // SKIP LOCKED first: a busy user does not hold up the others, and two sweepers share the work.
        const { outcome } = await this.money.timeOut(session.user_id, session.session_id, false);
        if (outcome === 'ok') ended++;
        else if (outcome === 'busy') busy.push(session);
      }
      // Then in turn, so that an account which is always busy is swept too.
      for (const session of busy) {
        const { outcome } = await this.money.timeOut(session.user_id, session.session_id, true);
        if (outcome === 'ok') ended++;
      }
      if (stale.length < BATCH) break;
    }
    return ended;
  }
}
