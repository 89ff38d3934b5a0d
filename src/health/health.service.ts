import { Injectable } from '@nestjs/common';
import { migrations } from '../../migrations/index.js';
import { Database } from '../common/database/database.js';
import { ServiceUnavailable } from '../common/errors/service-error.js';

/** Nothing where the database is read-only: on a standby, or when it was set so. */
const APPLIED = {
  name: 'health_migrations',
  text: `SELECT name FROM migrations WHERE current_setting('transaction_read_only') = 'off'`,
};
/** A probe waits no longer for a database that is silent. */
const PATIENCE_MILLISECONDS = 3000;
/** For so long an answer serves the probes that come after it. */
const KEPT_MILLISECONDS = 1000;

@Injectable()
export class HealthService {
  /** The reading under way, or the last one while it is kept: however many probe, one statement a second is sent. */
  private reading: Promise<boolean> | undefined;

  constructor(private readonly database: Database) {}

  /** @throws ServiceUnavailable when the database does not answer, is read-only or lacks a migration of this release */
  async requireReady(): Promise<void> {
    this.reading ??= this.read().finally(() => {
      setTimeout(() => (this.reading = undefined), KEPT_MILLISECONDS).unref();
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((done) => {
      timer = setTimeout(() => done(false), PATIENCE_MILLISECONDS);
    });
    const isReady = await Promise.race([this.reading, late]).finally(() => clearTimeout(timer));
    if (!isReady) throw new ServiceUnavailable();
  }

  private async read(): Promise<boolean> {
    const rows = await this.database.rows<{ name: string }>(APPLIED).catch(() => []);
    const applied = new Set(rows.map((row) => row.name));
    // A database that is ahead is fine: a newer release has migrated it, and this one still runs on it.
    return migrations.every((migration) => applied.has(migration.name));
  }
}
