import 'reflect-metadata';
import pg from 'pg';
import { DataSource, type Migration } from 'typeorm';
import { delegateOperations, isDistributed } from './migrations/distribution.js';
import { installFunctions } from './migrations/functions.js';
import { migrations } from './migrations/index.js';
import { AlertRule } from './src/alerts/entities/alert-rule.entity.js';
import { ApiKey } from './src/api-keys/entities/api-key.entity.js';
import { connectionPool, type DatabasePool } from './src/common/database/driver.js';
import { loadConfig } from './src/config/env.js';
import { LedgerEntry } from './src/credits/entities/ledger-entry.entity.js';
import { WebhookEndpoint } from './src/events/entities/webhook-endpoint.entity.js';
import { GatewayAccount } from './src/integrations/entities/gateway-account.entity.js';
import { UsageQuarantine } from './src/integrations/entities/usage-quarantine.entity.js';
import { Member } from './src/organisations/entities/member.entity.js';
import { Organisation } from './src/organisations/entities/organisation.entity.js';
import { PricingAlias } from './src/pricing/entities/pricing-alias.entity.js';
import { PricingRule } from './src/pricing/entities/pricing-rule.entity.js';
import { StreamingSession } from './src/streaming-sessions/entities/streaming-session.entity.js';
import { UsageRecord } from './src/usage/entities/usage-record.entity.js';

/** TypeORM on connections that it is given: the service sends its own statements over the same ones. */
export class AccountingDataSource extends DataSource {
  constructor(pool: DatabasePool) {
    super({
      type: 'postgres',
      // TypeORM makes its pool with `new Pool(options)`.
      driver: {
        ...pg,
        Pool: function () {
          return pool;
        },
      },
      entities: [
        AlertRule,
        ApiKey,
        GatewayAccount,
        LedgerEntry,
        Member,
        Organisation,
        PricingAlias,
        PricingRule,
        StreamingSession,
        UsageRecord,
        UsageQuarantine,
        WebhookEndpoint,
      ],
      migrations,
      installExtensions: false,
    });
  }

  /** Also puts the SQL functions in place, whether the service or the TypeORM CLI runs the migrations. */
  override async runMigrations(options?: Parameters<DataSource['runMigrations']>[0]): Promise<Migration[]> {
    const migrated = await super.runMigrations(options);
    const runner = this.createQueryRunner();
    try {
      await installFunctions(runner);
      if (await isDistributed(runner)) await delegateOperations(runner);
    } finally {
      await runner.release();
    }
    return migrated;
  }
}

/** For the TypeORM CLI (`npm run migration:run`), which needs DATABASE_URL or DB_HOST. */
function cliDataSource(): AccountingDataSource {
  const { database } = loadConfig();
  const url = database.migrationUrl ?? database.directUrl ?? database.url;
  if (url === undefined) throw new Error('DATABASE_URL (or DB_HOST) is required');
  return new AccountingDataSource(connectionPool({ ...database, url, directUrl: undefined }));
}

export default process.argv[1]?.includes('typeorm') ? cliDataSource() : undefined;
