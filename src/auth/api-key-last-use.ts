import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { PeriodicTask } from '../common/periodic-task.js';

const FLUSH_INTERVAL_SECONDS = 60;
const BATCH = 1000;

const WRITE_LAST_USED = {
  name: 'api_keys_last_used',
  text: `UPDATE api_keys k SET last_used = u.used_at
           FROM (SELECT account_id, id, used_at, used_at - interval '1 minute' AS before
                   FROM unnest($1::varchar[], $2::bigint[], $3::timestamptz[]) AS u (account_id, id, used_at) OFFSET 0) u
          WHERE k.account_id = u.account_id AND k.id = u.id
            AND (k.last_used IS NULL OR k.last_used <= u.before)`,
};

interface Use {
  userId: string;
  id: number;
  usedAt: string;
}

/**
 * When keys were last used: kept here and written once a minute in batches, never while a request waits, and at most
 * once a minute for each key, however many instances see it. A process that is killed loses a minute of it.
 */
@Injectable()
export class ApiKeyLastUse implements OnApplicationBootstrap, OnModuleDestroy {
  private uses = new Map<number, Use>();
  private readonly task: PeriodicTask;

  constructor(private readonly database: Database) {
    const logger = new Logger(ApiKeyLastUse.name);
    this.task = new PeriodicTask(logger, 'Last use of API keys', FLUSH_INTERVAL_SECONDS, () => this.flush());
  }

  onApplicationBootstrap(): void {
    this.task.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.task.stop();
    await this.flush().catch(() => undefined);
  }

  note(userId: string, id: number): void {
    this.uses.set(id, { userId, id, usedAt: new Date().toISOString() });
  }

  /** Writes what was noted since the last time. What cannot be written is kept for the next. */
  async flush(): Promise<void> {
    const uses = [...this.uses.values()];
    this.uses = new Map();
    for (let start = 0; start < uses.length; start += BATCH) {
      const batch = uses.slice(start, start + BATCH);
      try {
        await this.database.rows(WRITE_LAST_USED, [
          batch.map(({ userId }) => userId),
          batch.map(({ id }) => id),
          batch.map(({ usedAt }) => usedAt),
        ]);
      } catch (error) {
        for (const use of uses.slice(start)) if (!this.uses.has(use.id)) this.uses.set(use.id, use);
        throw error;
      }
    }
  }
}
