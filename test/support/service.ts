import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Type } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import pg from 'pg';
import { pino } from 'pino';
import { inject } from 'vitest';
import { createApp } from '../../src/app.setup.js';
import { serverSettings } from '../../src/common/database/cluster.js';
import { roleSettings } from '../../src/common/database/pooler.js';
import { type AppConfig, loadConfig } from '../../src/config/env.js';
import { embeddedUrls, type ServerLogin } from '../../src/postgres-server/open-database.js';
import { asSuperuser, createDistributedDatabase, dropCitusDatabase, oneAtATime } from './citus.js';
import { TEMPLATE } from './global-setup.js';
import { HttpClient } from './http-client.js';
import { accessToken, SECRET, type TokenClaims } from './tokens.js';

export const INTERNAL_KEY = 'internal-key-of-the-tests-0123456789';

/** How many instances a file's service has; its clients ask one after the other (see .config/vitest.config.ts). */
const INSTANCES = Number(process.env.TEST_INSTANCES ?? 1);

export interface TestService {
  /** `http://127.0.0.1:port` */
  url: string;
  app: NestExpressApplication;
  config: AppConfig;
  /** The database's superuser, for what a test must see or break by hand. */
  owner: pg.Pool;
  databaseUrl: string;
  /** Log lines, parsed. */
  logs: Record<string, unknown>[];
  /** A client with a token of this user; a fresh user when none is named. */
  as(userId?: string, claims?: Partial<TokenClaims>): HttpClient;
  /** A client with no credentials. */
  anonymous(): HttpClient;
  /** A client with the internal key. */
  internal(headers?: Record<string, string>): HttpClient;
  /** A client with these headers and no others. */
  withHeaders(headers: Record<string, string>): HttpClient;
  get<T>(type: Type<T>): T;
  /** A second instance on the same database. */
  another(env?: Record<string, string>): Promise<TestService>;
  close(): Promise<void>;
}

/** A user id that no other test has. */
export function freshUser(prefix = 'user'): string {
  return `${prefix}-${randomUUID().slice(0, 12)}`;
}

/** The owner's connections, for what a test does behind the service's back. */
export function ownerPool(server: ServerLogin, database: string): pg.Pool {
  const pool = new pg.Pool({ ...server, database, max: 5 });
  // `end` does not wait until they are closed: the database or its server may go first.
  pool.on('error', () => undefined);
  return pool;
}

/**
 * The whole service over real HTTP, on a database of its own copied from the migrated template. The sweepers run only
 * when a test calls them, so that nothing happens by chance.
 */
export async function startService(env: Record<string, string> = {}): Promise<TestService> {
  const server =
    process.env.TEST_CITUS === undefined ? inject('server') : (inject('citus')[0] as ServerLogin);
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const drop = await createDatabase(server, name);
  const owner = ownerPool(server, name);
  const { url } = embeddedUrls(server, name);
  const twins: TestService[] = [];
  while (twins.length < INSTANCES - 1) twins.push(await startOn(url, owner, env));
  const service = await startOn(url, owner, env, twins);
  return {
    ...service,
    close: async () => {
      await service.close();
      for (const twin of twins) await twin.close();
      await owner.end();
      await drop();
    },
  };
}

/** A migrated database, on the cluster where the tests run on one. Answers how to drop it. */
async function createDatabase(server: ServerLogin, name: string): Promise<() => Promise<void>> {
  if (process.env.TEST_CITUS !== undefined) {
    const servers = inject('citus');
    await createDistributedDatabase(servers, name);
    return () => dropCitusDatabase(servers, name);
  }
  await asSuperuser(server, 'postgres', `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  return () => asSuperuser(server, 'postgres', `DROP DATABASE ${name} WITH (FORCE)`);
}

function throughPooler(databaseUrl: string) {
  const url = new URL(databaseUrl);
  url.port = String(inject('poolerPort'));
  return { DATABASE_URL: url.href, DATABASE_DIRECT_URL: databaseUrl };
}

/** The same on a cluster, whose coordinator passes them on. */
async function setOnServers(owner: pg.Pool, config: AppConfig): Promise<void> {
  const { username, pathname } = new URL(config.database.url as string);
  await oneAtATime(inject('citus')[0] as ServerLogin, async () => {
    for (const [name, value] of Object.entries(serverSettings(config)))
      await owner.query(`ALTER ROLE ${username} IN DATABASE ${pathname.slice(1)} SET ${name} = '${value}'`);
  });
}

/** The statements that a start without these settings names. */
async function setForRole(owner: pg.Pool, config: AppConfig): Promise<void> {
  const { username, pathname } = new URL(config.database.url as string);
  for (const [name, value] of Object.entries(roleSettings(config)))
    await owner.query(`ALTER ROLE ${username} IN DATABASE ${pathname.slice(1)} SET ${name} = '${value}'`);
}

/**
 * An instance of the service on a database that is there.
 *
 * @param twins instances that share its clients and its log
 */
export async function startOn(
  databaseUrl: string,
  owner: pg.Pool,
  env: Record<string, string> = {},
  twins: TestService[] = [],
): Promise<TestService> {
  // A test that names a database means that one.
  const isPooled = process.env.TEST_POOLER !== undefined && env.DATABASE_URL === undefined;
  const config = loadConfig({
    NODE_ENV: 'test',
    ...(isPooled ? throughPooler(databaseUrl) : { DATABASE_URL: databaseUrl }),
    JWT_ACCESS_SECRET: SECRET,
    INTERNAL_API_KEY: INTERNAL_KEY,
    SWEEP_INTERVAL_SECONDS: '0',
    RATE_LIMIT_MAX: '1000000',
    COMBINE_MOVEMENTS: process.env.TEST_COMBINE_MOVEMENTS,
    // A client that reads answers to their end has to come to it.
    EVENT_STREAM_SECONDS: '1',
    // Off by default; test/pricing/provider-cost.spec.ts has it so.
    SHOW_PROVIDER_COST_TO_USERS: 'on',
    ...env,
  });
  if (isPooled) await setForRole(owner, config);
  if (process.env.TEST_CITUS !== undefined) await setOnServers(owner, config);
  const logs = twins[0]?.logs ?? [];
  const logger = pino(
    { level: 'debug', base: null },
    {
      write: (line: string) => void logs.push(JSON.parse(line) as Record<string, unknown>),
    },
  );
  const app = await createApp(config, config.database.url as string, logger);
  await app.listen(0, '127.0.0.1');
  const url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
  const urls = [url, ...twins.map((twin) => twin.url)];
  let next = 0;
  const nextUrl = () => urls[next++ % urls.length] as string;
  return {
    url,
    app,
    config,
    owner,
    databaseUrl,
    logs,
    as: (userId = freshUser(), claims = {}) =>
      new HttpClient(nextUrl, { authorization: `Bearer ${accessToken({ sub: userId, ...claims })}` }, userId),
    anonymous: () => new HttpClient(nextUrl, {}, ''),
    withHeaders: (headers) => new HttpClient(nextUrl, headers, ''),
    internal: (headers = {}) =>
      new HttpClient(nextUrl, { 'x-internal-api-key': INTERNAL_KEY, ...headers }, ''),
    get: (type) => app.get(type, { strict: false }),
    another: (more = {}) => startOn(databaseUrl, owner, { ...env, ...more }),
    close: () => app.close(),
  };
}
