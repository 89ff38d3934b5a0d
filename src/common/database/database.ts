import { Inject, Injectable, Optional } from '@nestjs/common';
import type { Pool, QueryResult } from 'pg';
import { DataSource } from 'typeorm';
import { isLostRace } from '../errors/database-errors.js';
import { ServiceUnavailable } from '../errors/service-error.js';
import { type Tracing, TRACING } from '../tracing/tracing.js';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { CombinedReads } from './combined-reads.js';

/** A statement with a name, which PostgreSQL parses and plans once per connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** `SELECT name($1, …) AS answer`. */
export function operation(name: string, parameters: number): Statement {
  const places = Array.from({ length: parameters }, (_, index) => `$${index + 1}`).join(', ');
  return { name, text: `SELECT ${name}(${places}) AS answer` };
}

/** A lost race (40001, 40P01) is rolled back whole and tried again, at most this often (law 7). */
const MAXIMUM_ATTEMPTS = 4;

/**
 * For each connection so many requests may wait; the next is refused at once, which costs nothing, in place of after its
 * time-out. At 2 ms a statement the last of them waits a tenth of a second.
 */
const WAITING_PER_CONNECTION = 50;

/** An hour. */
const REPORT_MILLISECONDS = 3_600_000;

/** Runs single statements on the pool of the service's only DataSource: one round trip each. */
@Injectable()
export class Database {
  private readonly pool: Pool;
  private readonly maximumWaiting: number;

  constructor(
    dataSource: DataSource,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Optional() @Inject(TRACING) private readonly tracing: Tracing | null = null,
  ) {
    // TypeORM's own query() prepares anew each time; its pool takes named statements.
    this.pool = (dataSource.driver as unknown as { master: Pool }).master;
    this.maximumWaiting = this.pool.options.max * WAITING_PER_CONNECTION;
  }

  /** Connections there are, those that nobody uses, and requests that wait for one. */
  poolUse(): { total: number; idle: number; waiting: number } {
    return { total: this.pool.totalCount, idle: this.pool.idleCount, waiting: this.pool.waitingCount };
  }

  /** All rows of one statement. @throws ServiceUnavailable when too many wait for a connection */
  async rows<Row extends object>(statement: Statement, values: unknown[] = []): Promise<Row[]> {
    if (this.pool.waitingCount >= this.maximumWaiting) throw new ServiceUnavailable();
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.send<Row & Record<string, unknown>>(statement, values)).rows;
      } catch (error) {
        if (attempt >= MAXIMUM_ATTEMPTS || !isLostRace(error)) throw error;
      }
    }
  }

  private send<Row extends Record<string, unknown>>(statement: Statement, values: unknown[]) {
    const { tracing } = this;
    if (tracing === null) return this.pool.query<Row>({ ...statement, values });
    return tracing.statement(statement.name, async (connected): Promise<QueryResult<Row>> => {
      const client = await this.pool.connect();
      connected();
      try {
        const result = await client.query<Row>({ ...statement, values });
        client.release();
        return result;
      } catch (error) {
        // As the pool does it: a connection that has seen an error is not used again.
        client.release(true);
        throw error;
      }
    });
  }

  /**
   * A report over everything: one statement in a read-only transaction, without the time limit of ordinary requests.
   */
  async report<Row extends object>(statement: Statement, values: unknown[] = []): Promise<Row[]> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN READ ONLY');
      await client.query('SET LOCAL statement_timeout = 0');
      const { rows } = await client.query<Row & Record<string, unknown>>({
        text: statement.text,
        values,
        // The client's own limit; the type of the library does not know that a query may have one.
        ...{ query_timeout: REPORT_MILLISECONDS },
      });
      await client.query('COMMIT');
      client.release();
      return rows;
    } catch (error) {
      // Whatever state it is in: the pool makes a new one.
      client.release(true);
      throw error;
    }
  }

  /** Reads of one kind, combined while the database is busy. See CombinedReads for the statement. */
  reads<Row extends { key: string }>(statement: Statement): CombinedReads<Row> {
    return new CombinedReads<Row>((keys) => this.rows<Row>(statement, [keys]), {
      isCombining: this.config.combinesMovements,
      patienceMilliseconds: this.config.database.connectTimeoutMilliseconds,
    });
  }

  /** The first row of one statement, or undefined. */
  async row<Row extends object>(statement: Statement, values: unknown[] = []): Promise<Row | undefined> {
    return (await this.rows<Row>(statement, values))[0];
  }
}
