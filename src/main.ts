import 'reflect-metadata';
import { resolve } from 'node:path';
import type { AddressInfo } from 'node:net';
import { HttpAdapterHost } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { Logger } from 'pino';
import { createApp } from './app.setup.js';
import type { LimitedExpressAdapter } from './common/http/limited-express.adapter.js';
import { createLogger } from './common/http/logging.js';
import { commandLine } from './cli/command-line.js';
import { type AppConfig, ConfigError, loadConfig, EMBEDDED_DIRECTORY } from './config/env.js';
import { describeConnection, type OpenDatabase, openDatabase } from './postgres-server/open-database.js';

/** Longest wait for connections to the database to end, once no request is under way; the log has a second after it. */
const DISCONNECT_SECONDS = 4;

async function start(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel);
  for (const warning of config.warnings) logger.warn({ context: 'config' }, warning);
  // Without a server of our own, ending at once leaves nothing behind.
  let asked = config.database.url === undefined ? stopSignal() : undefined;
  const database = await openDatabase(
    config.database,
    (line) => logger.debug({ context: 'postgres' }, line),
    (line) => logger.warn({ context: 'main' }, line),
  );
  asked ??= stopSignal();
  let server: Server;
  try {
    server = await serve(config, database.url, logger);
  } catch (error) {
    await database.close();
    throw error;
  }
  stopWhenAsked(config, asked, server, database, logger);
  warn(config, logger);
  announce(config, server.port, database);
}

/** What answers requests. */
interface Server {
  port: number;
  /** Lets requests under way finish. */
  stop(): Promise<void>;
}

async function serve(config: AppConfig, databaseUrl: string, logger: Logger): Promise<Server> {
  const app: NestExpressApplication = await createApp(config, databaseUrl, logger);
  await app.listen(config.port);
  return {
    port: (app.getHttpServer().address() as AddressInfo).port,
    stop: async () => {
      const deadline = setTimeout(
        () => app.getHttpServer().closeAllConnections(),
        config.shutdownSeconds * 1000,
      );
      // First of all: what Nest ends before the server may take its time, as a delivery to a receiver that does not answer.
      await app.get<HttpAdapterHost<LimitedExpressAdapter>>(HttpAdapterHost).httpAdapter.stopListening();
      await app.close().finally(() => clearTimeout(deadline));
    },
  };
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

/**
 * Requests under way finish, then the pools close, then the embedded server stops. Further signals change nothing. A
 * database that is silent does not keep the process: at the deadline the embedded server is stopped all the same, and the
 * process ends.
 */
function stopWhenAsked(
  config: AppConfig,
  asked: Promise<string>,
  server: Server,
  database: OpenDatabase,
  logger: Logger,
): void {
  let stopping = false;
  const stop = (reason: string, exitCode: number) => {
    if (stopping) return;
    stopping = true;
    logger[exitCode === 0 ? 'info' : 'error']({ context: 'main' }, `stopping: ${reason}`);
    const giveUp = () => {
      logger.error({ context: 'main' }, 'could not stop in time');
      exitCode = 1;
      // Also when statements are still under way: an embedded server that is left running would hold the directory.
      void database.close().finally(() => process.exit(exitCode));
    };
    setTimeout(giveUp, (config.shutdownSeconds + DISCONNECT_SECONDS) * 1000).unref();
    server
      .stop()
      .catch((error: Error) => logger.error({ context: 'main' }, error.message))
      .then(() => database.close())
      .catch((error: Error) => logger.error({ context: 'main' }, error.message))
      .finally(() => process.exit(exitCode));
  };
  void asked.then((signal) => stop(signal, 0));
  database.embedded?.onUnexpectedExit((why) => stop(`the embedded PostgreSQL server ended: ${why}`, 1));
}

/** Says at a start in production which setting leaves open what an operator may not have meant. */
function warn(config: AppConfig, logger: Logger): void {
  if (config.environment === 'production' && config.meteringCallers === 'any') {
    logger.warn(
      { context: 'main' },
      'METERING_CALLERS is "any": users settle their own sessions and record their own usage; "service" leaves it to trusted services',
    );
  }
}

/** What a person who has just started it wants to know; programs get log lines only. */
function announce(config: AppConfig, port: number, database: OpenDatabase): void {
  const url = `http://localhost:${port}`;
  const data = database.embedded
    ? `${database.embedded.dataDir} (embedded PostgreSQL on port ${database.embedded.port})`
    : describeConnection(database.url);
  const token =
    config.environment === 'production'
      ? []
      : [
          `  Token      ${directorySetting(config, database)}${commandLine('token')} --role admin --sub alice`,
        ];
  const lines = [
    `  Console    ${url}/console`,
    `  API        ${url}/api`,
    ...(config.hasApiDocs ? [`  Swagger UI ${url}/api/docs`] : []),
    `  Data       ${data}`,
    ...token,
  ];
  process.stdout.write(`\nThe accounting service is ready.\n${lines.join('\n')}\n\n`);
}

/** The secret that tokens are signed with lies beside the data: the command for one must look there too. */
function directorySetting(
  { database: { embeddedDirectory } }: AppConfig,
  { embedded }: OpenDatabase,
): string {
  const isChosen = embedded !== undefined && embeddedDirectory !== resolve(EMBEDDED_DIRECTORY);
  return isChosen ? `EMBEDDED_POSTGRES_DIR='${embeddedDirectory}' ` : '';
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
