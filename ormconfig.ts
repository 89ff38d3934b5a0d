import 'reflect-metadata';
import { DataSource, type DataSourceOptions, type Migration } from 'typeorm';
import { installFunctions } from './migrations/functions.js';
import { migrations } from './migrations/index.js';
import { ApiKey } from './src/api-keys/entities/api-key.entity.js';
import { UserAccount } from './src/accounts/entities/user-account.entity.js';
import { driver, SILENCE_MILLISECONDS } from './src/common/database/driver.js';
import { loadConfig } from './src/config/env.js';
import { CreditAllocation } from './src/credits/entities/credit-allocation.entity.js';
import { CreditBalance } from './src/credits/entities/credit-balance.entity.js';
import { LedgerEntry } from './src/credits/entities/ledger-entry.entity.js';
import { WebhookEndpoint } from './src/events/entities/webhook-endpoint.entity.js';
import { UsageQuarantine } from './src/integrations/entities/usage-quarantine.entity.js';
import { PricingRule } from './src/pricing/entities/pricing-rule.entity.js';
import { StreamingSession } from './src/streaming-sessions/entities/streaming-session.entity.js';
import { UsageRecord } from './src/usage/entities/usage-record.entity.js';
import { UsageReview } from './src/usage/entities/usage-review.entity.js';

export interface ConnectionSettings {
  url: string;
  poolSize: number;
  connectTimeoutMilliseconds: number;
  statementTimeoutMilliseconds: number;
  /** Credits at which a user's are low; the database tells of it where this comes with the connection. */
  lowThreshold?: number;
}

/** The options of the only DataSource: the service, the migrations, the scripts and the TypeORM CLI all use these. */
export function dataSourceOptions(settings: ConnectionSettings): DataSourceOptions {
  return {
    type: 'postgres',
    driver,
    url: settings.url,
    applicationName: 'llm-accounting-service',
    entities: [
      UserAccount,
      ApiKey,
      CreditBalance,
      CreditAllocation,
      LedgerEntry,
      PricingRule,
      StreamingSession,
      UsageRecord,
      UsageReview,
      UsageQuarantine,
      WebhookEndpoint,
    ],
    migrations,
    synchronize: false,
    installExtensions: false,
    poolSize: settings.poolSize,
    extra: {
      connectionTimeoutMillis: settings.connectTimeoutMilliseconds,
      // One after the other: the server gives up first and says so; the client's limit is for a server gone silent.
      statement_timeout: settings.statementTimeoutMilliseconds,
      answer_timeout: settings.statementTimeoutMilliseconds + SILENCE_MILLISECONDS,
      idle_in_transaction_session_timeout: settings.statementTimeoutMilliseconds,
      keepAlive: true,
      options:
        '-c timezone=UTC -c datestyle=ISO -c default_transaction_isolation=read\\ committed' +
        (settings.lowThreshold === undefined ? '' : ` -c accounting.low_threshold=${settings.lowThreshold}`),
    },
  };
}

/** Puts the SQL functions in place after the migrations, whether the service or the TypeORM CLI runs these. */
export class AccountingDataSource extends DataSource {
  override async runMigrations(options?: Parameters<DataSource['runMigrations']>[0]): Promise<Migration[]> {
    const migrated = await super.runMigrations(options);
    const runner = this.createQueryRunner();
    try {
      await installFunctions(runner);
    } finally {
      await runner.release();
    }
    return migrated;
  }
}

/** For the TypeORM CLI (`npm run migration:generate`), which needs DATABASE_URL or DB_HOST. */
function cliDataSource(): AccountingDataSource {
  const { database } = loadConfig();
  return new AccountingDataSource(
    dataSourceOptions({ ...database, url: database.migrationUrl ?? database.url ?? '' }),
  );
}

export default process.argv[1]?.includes('typeorm') ? cliDataSource() : undefined;
