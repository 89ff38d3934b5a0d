import { Injectable } from '@nestjs/common';
import type { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { isLostRace } from '../errors/database-errors.js';

/** A statement with a name, which PostgreSQL parses and plans once per connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** A lost race (40001, 40P01) is rolled back whole and tried again, at most this often (law 7). */
const MAXIMUM_ATTEMPTS = 4;

/** Runs single statements on the pool of the service's only DataSource: one round trip each. */
@Injectable()
export class Database {
  private readonly pool: Pool;

  constructor(dataSource: DataSource) {
    // TypeORM's own query() prepares anew each time; its pool takes named statements.
    this.pool = (dataSource.driver as unknown as { master: Pool }).master;
  }

  /** All rows of one statement. */
  async rows<Row extends object>(statement: Statement, values: unknown[] = []): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      try {
        return (await this.pool.query<Row & Record<string, unknown>>({ ...statement, values })).rows;
      } catch (error) {
        if (attempt >= MAXIMUM_ATTEMPTS || !isLostRace(error)) throw error;
      }
    }
  }

  /** The first row of one statement, or undefined. */
  async row<Row extends object>(statement: Statement, values: unknown[] = []): Promise<Row | undefined> {
    return (await this.rows<Row>(statement, values))[0];
  }
}
