import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AccountingDataSource } from '../ormconfig.js';
import { AccountDirectoryModule } from './account-directory/account-directory.module.js';
import { ActivityModule } from './activity/activity.module.js';
import { AlertsModule } from './alerts/alerts.module.js';
import { ApiKeysModule } from './api-keys/api-keys.module.js';
import { AuthModule } from './auth/auth.module.js';
import { DatabaseModule } from './common/database/database.module.js';
import { connectionPool } from './common/database/driver.js';
import { MetricsModule } from './common/metrics/metrics.module.js';
import { TracingModule } from './common/tracing/tracing.module.js';
import { ProblemFilter } from './common/http/problem.filter.js';
import { ReportsModule } from './common/http/reports.module.js';
import { RequestValidationPipe } from './common/http/validation.js';
import { BudgetsModule } from './budgets/budgets.module.js';
import { ConsoleModule } from './console/console.module.js';
import { ConfigModule } from './config/config.module.js';
import type { AppConfig } from './config/env.js';
import { CreditsModule } from './credits/credits.module.js';
import { EventsModule } from './events/events.module.js';
import { HealthModule } from './health/health.module.js';
import { IntegrationsModule } from './integrations/integrations.module.js';
import { OrganisationsModule } from './organisations/organisations.module.js';
import { PricingModule } from './pricing/pricing.module.js';
import { SearchModule } from './search/search.module.js';
import { StreamingSessionsModule } from './streaming-sessions/streaming-sessions.module.js';
import { UsageModule } from './usage/usage.module.js';

@Module({})
export class AppModule {
  /** @param databaseUrl connection string of the service's role, on a database that is migrated */
  static forRoot(config: AppConfig, databaseUrl: string): DynamicModule {
    const pool = connectionPool({
      ...config.database,
      url: databaseUrl,
      // Beside the pool of movements, which has the full size.
      poolSize: Math.ceil(config.database.poolSize / 2),
      lowThreshold: config.events.lowThreshold,
    });
    return {
      module: AppModule,
      imports: [
        ConfigModule.forRoot(config),
        TypeOrmModule.forRootAsync({
          useFactory: () => ({ retryAttempts: 0 }),
          dataSourceFactory: () => Promise.resolve(new AccountingDataSource(pool)),
        }),
        TracingModule,
        DatabaseModule.forRoot(pool),
        MetricsModule,
        ReportsModule,
        AuthModule.forRoot(config),
        CreditsModule,
        // Before the directory, whose /accounts/:userId would match /accounts/mine.
        OrganisationsModule,
        AccountDirectoryModule,
        BudgetsModule,
        UsageModule,
        StreamingSessionsModule,
        PricingModule,
        ApiKeysModule,
        IntegrationsModule,
        ActivityModule,
        SearchModule,
        EventsModule,
        AlertsModule,
        HealthModule,
        ConsoleModule.forRoot(config),
      ],
      providers: [
        { provide: APP_FILTER, useClass: ProblemFilter },
        { provide: APP_PIPE, useClass: RequestValidationPipe },
      ],
    };
  }
}
