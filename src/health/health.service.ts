import { Injectable } from '@nestjs/common';
import { migrations } from '../../migrations/index.js';
import { Database } from '../common/database/database.js';
import { ServiceUnavailable } from '../common/errors/service-error.js';

const APPLIED = { name: 'health_migrations', text: 'SELECT name FROM migrations' };

@Injectable()
export class HealthService {
  constructor(private readonly database: Database) {}

  /** @throws ServiceUnavailable when the database does not answer or lacks a migration of this release */
  async requireReady(): Promise<void> {
    const rows = await this.database.rows<{ name: string }>(APPLIED).catch(() => []);
    const applied = new Set(rows.map((row) => row.name));
    // A database that is ahead is fine: a newer release has migrated it, and this one still runs on it.
    if (!migrations.every((migration) => applied.has(migration.name))) throw new ServiceUnavailable();
  }
}
