import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Logger } from 'pino';
import { createApp } from './app.setup.js';
import { createLogger } from './common/http/logging.js';
import { type AppConfig, ConfigError, loadConfig } from './config/env.js';
import { describeConnection, type OpenDatabase, openDatabase } from './database/open-database.js';

/** Longest wait for requests under way when the service is told to stop. */
const SHUTDOWN_SECONDS = 20;

async function start(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel);
  // Without a server of our own, ending at once leaves nothing behind.
  let asked = config.database.url === undefined ? stopSignal() : undefined;
  const database = await openDatabase(config.database, (line) => logger.debug({ context: 'postgres' }, line));
  asked ??= stopSignal();
  let app: NestExpressApplication;
  try {
    app = await createApp(config, database.url, logger);
    await app.listen(config.port);
  } catch (error) {
    await database.close();
    throw error;
  }
  stopWhenAsked(asked, app, database, logger);
  announce(config, (app.getHttpServer().address() as AddressInfo).port, database);
}

/**
 * Resolves at the first signal to stop. Signals are caught while the service still starts, too, and obeyed when it has:
 * otherwise they would leave a database server behind. SIGHUP is a terminal that was closed.
 */
function stopSignal(): Promise<string> {
  return new Promise((asked) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => asked(signal));
  });
}

/** Requests under way finish, then the pool closes, then the embedded server stops. Further signals change nothing. */
function stopWhenAsked(
  asked: Promise<string>,
  app: NestExpressApplication,
  database: OpenDatabase,
  logger: Logger,
): void {
  let stopping = false;
  const stop = (reason: string, exitCode: number) => {
    if (stopping) return;
    stopping = true;
    logger[exitCode === 0 ? 'info' : 'error']({ context: 'main' }, `stopping: ${reason}`);
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
  void asked.then((signal) => stop(signal, 0));
  database.embedded?.onUnexpectedExit((why) => stop(`the embedded PostgreSQL server ended: ${why}`, 1));
}

/** What a person who has just started it wants to know; programs get log lines only. */
function announce(config: AppConfig, port: number, database: OpenDatabase): void {
  const url = `http://localhost:${port}`;
  const data = database.embedded
    ? `${database.embedded.dataDir} (embedded PostgreSQL on port ${database.embedded.port})`
    : describeConnection(database.url);
  const token =
    config.environment === 'production' ? [] : ['  Token      npm run -s token -- --role admin --sub alice'];
  const lines = [`  API        ${url}/api`, `  Swagger UI ${url}/api/docs`, `  Data       ${data}`, ...token];
  process.stdout.write(`\nThe accounting service is ready.\n${lines.join('\n')}\n\n`);
}

function explain(error: NodeJS.ErrnoException & { port?: number }): string {
  if (error instanceof ConfigError) return error.message;
  if (error.code === 'EADDRINUSE') {
    return `Port ${error.port} is in use. Stop the program that uses it, or set PORT to another.`;
  }
  return `The service could not start: ${error.message}`;
}

start().catch((error: Error) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});
