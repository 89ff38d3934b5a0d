import { join } from 'node:path';
import pg from 'pg';
import { createEmbeddedDatabase } from '../../../src/postgres-server/open-database.js';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../src/postgres-server/embedded-postgres.js';
import { type DatabaseProxy, startDatabaseProxy } from '../../support/database-proxy.js';
import { type CompiledService, compileService } from '../../support/service-process.js';
import { SECRET } from '../../support/tokens.js';
import { Instance } from './instance.js';
import {
  type ChaosSettings,
  CONNECT_TIMEOUT_MILLISECONDS,
  LEASE_SECONDS,
  POOL_SIZE,
  STATEMENT_TIMEOUT_MILLISECONDS,
} from './settings.js';

const DATABASE = 'accounting';
const INSTANCES = ['A', 'B'];

/** What a process and its database hold on to. */
export interface Resources {
  /** Resident memory of each instance in MB. */
  memory: number[];
  /** Open files and sockets of each instance; 0 where the system does not say. */
  files: number[];
  /** Connections of the service in the server, and those of them that are in the middle of something. */
  connections: number;
  busyConnections: number;
}

/** A real server with default durability, and two instances of the service, each with a line of its own to the server. */
export class Cluster {
  private constructor(
    private readonly dataDir: string,
    private server: EmbeddedPostgres,
    readonly lines: DatabaseProxy[],
    readonly instances: Instance[],
    private readonly compiled: CompiledService,
  ) {}

  /** Nothing of the service runs yet, and its database is empty. */
  static async create(directory: string, { serviceEnv }: ChaosSettings): Promise<Cluster> {
    const dataDir = join(directory, 'postgres');
    const server = await startEmbeddedPostgres({ dataDir });
    const urls = await createEmbeddedDatabase(server, DATABASE);
    const compiled = await compileService();
    const lines = await Promise.all(INSTANCES.map(() => startDatabaseProxy(urls.url)));
    const instances = INSTANCES.map((name, index) => {
      const line = new URL(lines[index]?.url as string);
      const owner = new URL(urls.ownerUrl);
      owner.host = line.host;
      return new Instance(name, join(compiled.directory, 'src/main.js'), {
        NODE_ENV: 'production',
        METRICS_ACCESS: 'open',
        PORT: '0',
        LOG_LEVEL: 'warn',
        DATABASE_URL: line.toString(),
        MIGRATION_DATABASE_URL: owner.toString(),
        JWT_ACCESS_SECRET: SECRET,
        RATE_LIMIT_MAX: '1000000000',
        SWEEP_INTERVAL_SECONDS: '2',
        SESSION_LEASE_SECONDS: String(LEASE_SECONDS),
        DB_POOL_SIZE: String(POOL_SIZE),
        DB_CONNECT_TIMEOUT_MS: String(CONNECT_TIMEOUT_MILLISECONDS),
        DB_STATEMENT_TIMEOUT_MS: String(STATEMENT_TIMEOUT_MILLISECONDS),
        ...serviceEnv,
      });
    });
    return new Cluster(dataDir, server, lines, instances, compiled);
  }

  /** SIGKILL of the postmaster; resolves when it has gone. */
  async killDatabase(): Promise<void> {
    const gone = new Promise<void>((done) => this.server.onUnexpectedExit(() => done()));
    process.kill(this.server.pid, 'SIGKILL');
    await gone;
    // Gives back the claim on the directory, nothing more.
    await this.server.stop();
  }

  /** Starts the server again on what the kill has left; resolves when it has recovered and answers. */
  async startDatabase(): Promise<void> {
    this.server = await startEmbeddedPostgres({ dataDir: this.dataDir });
    const { url } = await createEmbeddedDatabase(this.server, DATABASE);
    for (const line of this.lines) line.redirect(url);
  }

  /**
   * SIGKILL of the process that serves one of the service's connections: PostgreSQL ends all the others too, and
   * recovers by itself.
   */
  async killBackend(): Promise<void> {
    const rows = await this.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'llm-accounting-service' ORDER BY state, pid LIMIT 1`,
    );
    if (rows[0] !== undefined) process.kill(rows[0].pid, 'SIGKILL');
  }

  /** As the superuser, past the lines that fail. */
  async query<Row extends object>(text: string): Promise<Row[]> {
    const { host, port, user, password } = this.server;
    const client = new pg.Client({ host, port, user, password, database: DATABASE, ssl: false });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async resources(): Promise<Resources> {
    const metrics = await Promise.all(this.instances.map(({ url }) => metricsOf(url)));
    const [row] = await this.query<{ all: string; busy: string }>(
      `SELECT count(*) AS all, count(*) FILTER (WHERE state <> 'idle') AS busy FROM pg_stat_activity
        WHERE application_name = 'llm-accounting-service'`,
    );
    return {
      memory: metrics.map((text) => Math.round(gauge(text, 'process_resident_memory_bytes') / 1_000_000)),
      files: metrics.map((text) => gauge(text, 'process_open_fds')),
      connections: Number(row?.all),
      busyConnections: Number(row?.busy),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance.kill('SIGTERM')));
    await Promise.all(this.lines.map((line) => line.close()));
    await this.server.stop();
    await this.compiled.remove();
  }
}

const metricsOf = async (url: string) => (await fetch(`${url}/metrics`)).text();

function gauge(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}
