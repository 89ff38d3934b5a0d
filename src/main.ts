import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Logger } from 'pino';
import { createApp } from './app.setup.js';
import { createLogger } from './common/http/logging.js';
import { type AppConfig, ConfigError, loadConfig } from './config/env.js';
import { type OpenDatabase, openDatabase } from './database/open-database.js';

/** Longest wait for requests under way when the service is told to stop. */
const SHUTDOWN_SECONDS = 20;

async function start(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel);
  const database = await openDatabase(config.database, (line) => logger.debug({ context: 'postgres' }, line));
  let app: NestExpressApplication;
  try {
    app = await createApp(config, database.url, logger);
    await app.listen(config.port);
  } catch (error) {
    await database.close();
    throw error;
  }
  stopOnSignals(app, database, logger);
  announce(config, (app.getHttpServer().address() as AddressInfo).port, database);
}

/** Requests under way finish, then the pool closes, then the embedded server stops. A second signal is not waited for. */
function stopOnSignals(app: NestExpressApplication, database: OpenDatabase, logger: Logger): void {
  let stopping = false;
  const stop = (reason: string, exitCode: number) => {
    if (stopping) return;
    stopping = true;
    logger.info({ context: 'main' }, `stopping: ${reason}`);
    const deadline = setTimeout(() => app.getHttpServer().closeAllConnections(), SHUTDOWN_SECONDS * 1000);
    app
      .close()
      .catch((error: Error) => logger.error({ context: 'main' }, error.message))
      .then(() => database.close())
      .catch((error: Error) => logger.error({ context: 'main' }, error.message))
      .finally(() => {
        clearTimeout(deadline);
        process.exit(exitCode);
      });
  };
  process.on('SIGINT', () => stop('SIGINT', 0));
  process.on('SIGTERM', () => stop('SIGTERM', 0));
  database.embedded?.onUnexpectedExit((why) => stop(`the embedded PostgreSQL server ended: ${why}`, 1));
}

/** What a person who has just started it wants to know; programs get log lines only. */
function announce(config: AppConfig, port: number, database: OpenDatabase): void {
  const url = `http://localhost:${port}`;
  const data = database.embedded
    ? `${database.embedded.dataDir} (embedded PostgreSQL on port ${database.embedded.port})`
    : describe(database.url);
  const token =
    config.environment === 'production' ? [] : ['  Token      npm run -s token -- --role admin --sub alice'];
  const lines = [`  API        ${url}/api`, `  Swagger UI ${url}/api/docs`, `  Data       ${data}`, ...token];
  process.stdout.write(`\nThe accounting service is ready.\n${lines.join('\n')}\n\n`);
}

function describe(connection: string): string {
  const { hostname, port, pathname } = new URL(connection);
  return `PostgreSQL at ${hostname}:${port || '5432'}${pathname}`;
}

start().catch((error: Error) => {
  process.stderr.write(
    error instanceof ConfigError ? `${error.message}\n` : `The service could not start: ${error.message}\n`,
  );
  process.exit(1);
});
