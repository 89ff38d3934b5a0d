import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit, Optional } from '@nestjs/common';
import type { QueryConfig } from 'pg';
import { isCutOff, isLostRace, isRefusal, isStalePlan } from '../errors/database-errors.js';
import { ReportTooLong, ServiceUnavailable } from '../errors/service-error.js';
import { type Tracing, TRACING } from '../tracing/tracing.js';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { CombinedReads } from './combined-reads.js';
import { DatabasePool, LOCK_MILLISECONDS, SILENCE_MILLISECONDS, databaseServers } from './driver.js';
import { checkServers, isDistributed } from './cluster.js';
import { checkPooler } from './pooler.js';
import { Replica } from './replica.js';

/** A statement with a name, which PostgreSQL parses and plans once per connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
  /** Whether a replica may answer this report (READ_MAX_LAG_SECONDS). */
  readonly mayBeOld?: boolean;
}

/**
 * A function of `src/<module>/sql/operations` that takes one request as JSON and returns one JSON object. The types of both
 * are declared where the operation is, once.
 */
export interface Operation<Request extends object, Answer> extends Statement {
  readonly isOfAccount: boolean;
  /** Of types only: there is no such member. */
  readonly types?: (request: Request) => Answer;
}

/** What an operation on an account names: the account that pays. */
export interface AccountRequest {
  readonly accountId: string;
}

/**
 * An operation on one account. The account is a parameter of its own as well: on a cluster the whole call goes to the
 * server that has the account's rows.
 */
export function operation<Request extends AccountRequest, Answer>(name: string): Operation<Request, Answer> {
  return { name, text: `SELECT ${name}($1, $2) AS answer`, isOfAccount: true };
}

/** An operation of no account: any server of a cluster carries it out. */
export function generalOperation<Request extends object, Answer>(name: string): Operation<Request, Answer> {
  return { name, text: `SELECT ${name}($1) AS answer`, isOfAccount: false };
}

/** What an operation returns when it was carried out, and when it was refused and changed nothing. */
export type Ok<Answer> = { outcome: 'ok' } & Answer;
export interface Refused<Outcome extends string> {
  outcome: Outcome;
}

/** Movements and combined reads; all other statements, also those of TypeORM; reports over many rows. */
export type PoolName = 'movements' | 'other' | 'reports';

/** A lost race (40001, 40P01) is rolled back whole and tried again, at most this often. */
const MAXIMUM_ATTEMPTS = 4;

/**
 * Runs single statements, one round trip each. Movements share their connections only with the combined reads, of which
 * a few statements are under way at once: no burst of other statements makes a line that a movement waits in.
 */
@Injectable()
export class Database implements OnModuleInit, OnApplicationShutdown {
  private readonly pools: Record<PoolName, DatabasePool>;
  private readonly isPooled: boolean;
  private readonly replica: Replica | undefined;
  /** Whether accounts are spread over the servers of a cluster; known once the service has started. */
  isDistributed = false;

  constructor(
    other: DatabasePool,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Optional() @Inject(TRACING) private readonly tracing: Tracing | null = null,
  ) {
    const { poolSize, timeoutMilliseconds } = config.reports;
    this.isPooled = config.database.directUrl !== undefined;
    this.pools = {
      movements: new DatabasePool({
        ...other.options,
        max: config.database.poolSize,
        lock_timeout: this.isPooled ? undefined : LOCK_MILLISECONDS,
      }),
      other,
      // Their own time limit is a setting of the connection.
      reports: new DatabasePool({
        ...other.direct,
        max: poolSize,
        statement_timeout: timeoutMilliseconds,
        answer_timeout: timeoutMilliseconds + SILENCE_MILLISECONDS,
      }),
    };
    const { readUrl, maximumReadLagSeconds } = config.database;
    if (readUrl === undefined) return;
    const { options } = this.pools.reports;
    this.replica = new Replica(
      new DatabasePool({ ...options, servers: databaseServers(readUrl).servers }),
      other,
      maximumReadLagSeconds ?? 5,
    );
  }

  async onModuleInit(): Promise<void> {
    if (this.isPooled) await checkPooler(this.pools.movements, this.pools.reports, this.config);
    this.isDistributed = await isDistributed(this.pools.reports);
    if (this.isDistributed) await checkServers(this.pools.reports, this.config);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }

  /** Ends the connections that are not TypeORM's. */
  async close(): Promise<void> {
    await Promise.all([this.pools.movements.end(), this.pools.reports.end(), this.replica?.close()]);
  }

  /** For each pool: the most connections it may open, the open and the idle ones, and the requests waiting for one. */
  poolUse(): { pool: string; limit: number; total: number; idle: number; waiting: number }[] {
    const replica = this.replica === undefined ? {} : { replica: this.replica.pool };
    return Object.entries({ ...this.pools, ...replica }).map(
      ([pool, { options, totalCount, idleCount, waitingCount }]) => ({
        pool,
        limit: options.max,
        total: totalCount,
        idle: idleCount,
        waiting: waitingCount,
      }),
    );
  }

  /**
   * All rows of one statement.
   *
   * @param pool `movements` for what the movement queue and the combined reads send, and for nothing else
   * @throws ServiceUnavailable when too many wait for a connection
   */
  rows<Row extends object>(
    statement: Statement,
    values: unknown[] = [],
    pool: 'movements' | 'other' = 'other',
  ): Promise<Row[]> {
    return this.repeat<Row>(pool, statement.name, { ...statement, values });
  }

  /**
   * A report over many rows: one statement on one of a few connections of its own, with a time limit of its own
   * (DB_REPORT_TIMEOUT_MS).
   *
   * @param statement.isPlannedAnew whether its text or how much it reads differs from one time to the next
   * @throws ReportTooLong, ServiceUnavailable when too many wait for a connection
   */
  async report<Row extends object>(
    { name, text, isPlannedAnew, mayBeOld }: Statement & { isPlannedAnew?: boolean },
    values: unknown[] = [],
  ): Promise<Row[]> {
    const query = { name: isPlannedAnew ? undefined : name, text, values };
    try {
      return (
        (mayBeOld ? await this.askReplica<Row>(query) : undefined) ??
        (await this.repeat<Row>('reports', name, query))
      );
    } catch (error) {
      throw isCutOff(error) ? new ReportTooLong() : error;
    }
  }

  /** @returns undefined where the primary has to answer */
  private async askReplica<Row extends object>(query: QueryConfig): Promise<Row[] | undefined> {
    if (!this.replica?.isFresh) return undefined;
    try {
      return await this.replica.run<Row & Record<string, unknown>>(query);
    } catch (error) {
      if (isCutOff(error)) throw error;
      // It may be away, or have ended the statement for what it has to replay.
      if (!isRefusal(error)) this.replica.leave();
      return undefined;
    }
  }

  private async repeat<Row extends object>(pool: PoolName, name: string, query: QueryConfig): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send<Row>(pool, name, query);
      } catch (error) {
        // Each connection with a stale plan is replaced when it has said so.
        const most = isStalePlan(error) ? this.pools[pool].options.max + 1 : MAXIMUM_ATTEMPTS;
        if (attempt >= most || !isLostRace(error)) throw error;
      }
    }
  }

  private send<Row extends object>(pool: PoolName, name: string, query: QueryConfig): Promise<Row[]> {
    const run = (connected?: () => void) =>
      this.pools[pool].run<Row & Record<string, unknown>>(query, connected);
    return this.tracing === null ? run() : this.tracing.statement(name, run);
  }

  /**
   * What one operation returns: a JSON object.
   *
   * @param pool as with `rows`
   * @throws ServiceUnavailable when the database sent anything else: whether it was carried out is unknown
   */
  async call<Request extends object, Answer>(
    operation: Operation<Request, Answer>,
    request: Request,
    pool?: 'movements' | 'other',
  ): Promise<Answer> {
    const json = JSON.stringify(request);
    const values = operation.isOfAccount ? [(request as unknown as AccountRequest).accountId, json] : [json];
    const [row] = await this.rows<{ answer: Answer }>(operation, values, pool);
    if (typeof row?.answer !== 'object' || row.answer === null) throw new ServiceUnavailable();
    return row.answer;
  }

  /** Reads of one kind, combined while the database is busy. See CombinedReads for the statement. */
  reads<Row extends { key: string }>(statement: Statement): CombinedReads<Row> {
    return new CombinedReads<Row>((keys) => this.rows<Row>(statement, [keys], 'movements'), {
      isCombining: this.config.combinesMovements,
      patienceMilliseconds: this.config.database.connectTimeoutMilliseconds,
    });
  }

  /** The first row of one statement, or undefined. */
  async row<Row extends object>(statement: Statement, values: unknown[] = []): Promise<Row | undefined> {
    return (await this.rows<Row>(statement, values))[0];
  }
}
