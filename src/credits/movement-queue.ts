import { Inject, Injectable } from '@nestjs/common';
import { Database, type Statement } from '../common/database/database.js';
import { Lanes } from '../common/database/lanes.js';
import { isUnavailable, postgresError } from '../common/errors/database-errors.js';
import { ServiceUnavailable } from '../common/errors/service-error.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';

/**
 * Statements under way at once. While all are, movements wait, and those that have gathered go together in the next one:
 * the busier the database, the more of them share one call and one commit.
 */
const LANES = 4;
/** The most movements of one statement: a few tens of milliseconds for which their accounts are locked. */
const MAXIMUM_TOGETHER = 64;
/** The most that wait, for one account and in all; the next is refused at once. */
const MAXIMUM_WAITING_PER_ACCOUNT = 1000;
const MAXIMUM_WAITING = 10_000;
/** How long accounts of one statement wait for a lock that one of them cannot get. */
const LOCK_MILLISECONDS = 250;

const MOVEMENTS: Statement = { name: 'movements', text: 'SELECT movements($1, $2) AS answer' };

interface Movement {
  readonly statement: Statement;
  readonly values: unknown[];
  readonly askedAt: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Movements of one statement, by account. */
type Batch = { account: string; movements: Movement[] }[];

/**
 * Movements of credits on their way to the database. One account has one statement under way at a time, so what would
 * wait there for the account's lock waits here instead, and then goes together. Whoever need not wait goes alone, at
 * once. Each caller gets its own answer and its own error. Rules in README.md beside this file.
 */
@Injectable()
export class MovementQueue {
  /** Accounts in the order in which they began to wait. */
  private readonly waiting = new Map<string, Movement[]>();
  private waitingCount = 0;
  /** Accounts of the statements under way. */
  private readonly busy = new Set<string>();
  private readonly lanes = new Lanes(LANES, () => this.dispatch());

  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** Movements that wait for their turn. */
  get size(): number {
    return this.waitingCount;
  }

  /**
   * The answer of one operation on one account, whose user is its first value.
   *
   * @throws ServiceUnavailable when too many wait, or when this one has waited too long
   */
  run<Answer>(statement: Statement, values: unknown[]): Promise<Answer> {
    if (!this.config.combinesMovements) return this.alone<Answer>(statement, values);
    return new Promise<Answer>((resolve, reject) => {
      const account = values[0] as string;
      const others = this.waiting.get(account);
      if (this.waitingCount >= MAXIMUM_WAITING || (others?.length ?? 0) >= MAXIMUM_WAITING_PER_ACCOUNT) {
        throw new ServiceUnavailable();
      }
      const movement = {
        statement,
        values,
        askedAt: performance.now(),
        resolve: resolve as Movement['resolve'],
        reject,
      };
      this.waitingCount++;
      if (others === undefined) this.waiting.set(account, [movement]);
      else others.push(movement);
      this.dispatch();
    });
  }

  /** Fills the free lanes with what waits. */
  private dispatch(): void {
    while (this.lanes.isOneFree && this.waitingCount > 0) {
      const together = this.take();
      if (together.length === 0) return;
      this.lanes.use(this.send(together));
    }
  }

  /** Takes out of the waiting line what goes next: accounts that are not under way, those that wait longest first. */
  private take(): Batch {
    const together: Batch = [];
    const latest = performance.now() - this.config.database.connectTimeoutMilliseconds;
    let room = MAXIMUM_TOGETHER;
    for (const [account, movements] of this.waiting) {
      if (room === 0) break;
      if (this.busy.has(account)) continue;
      const taken = movements.splice(0, room);
      if (movements.length === 0) this.waiting.delete(account);
      this.waitingCount -= taken.length;
      const inTime = taken.filter((movement) => movement.askedAt >= latest);
      for (const movement of taken) if (movement.askedAt < latest) movement.reject(new ServiceUnavailable());
      if (inTime.length === 0) continue;
      room -= inTime.length;
      this.busy.add(account);
      together.push({ account, movements: inTime });
    }
    // Every instance in the same order, so that none waits for another one that waits for it.
    return together.sort((a, b) => (a.account < b.account ? -1 : 1));
  }

  /** Never fails: each movement hears for itself. */
  private async send(together: Batch): Promise<void> {
    const movements = together.flatMap((part) => part.movements);
    try {
      if (movements.length > 1) {
        await this.combined(movements, together.length > 1);
        for (const { account } of together) this.busy.delete(account);
        return;
      }
    } catch (error) {
      if (mayHaveHappened(error)) {
        for (const movement of movements) movement.reject(error);
        for (const { account } of together) this.busy.delete(account);
        return;
      }
      // Rolled back whole. Alone, each gets what is its own.
    }
    await Promise.all(together.map((part) => this.oneByOne(part)));
  }

  private async combined(movements: Movement[], hasSeveralAccounts: boolean): Promise<void> {
    const calls = movements.map(({ statement, values }) => [statement.name, values.map(toJson)]);
    const rows = await this.database.rows<{ answer: unknown }>(MOVEMENTS, [
      JSON.stringify(calls),
      hasSeveralAccounts ? LOCK_MILLISECONDS : 0,
    ]);
    movements.forEach((movement, index) => movement.resolve(rows[index]?.answer));
  }

  private async oneByOne({ account, movements }: Batch[number]): Promise<void> {
    for (const { statement, values, resolve, reject } of movements) {
      await this.alone(statement, values).then(resolve, reject);
    }
    this.busy.delete(account);
    this.dispatch();
  }

  private async alone<Answer>(statement: Statement, values: unknown[]): Promise<Answer> {
    const row = await this.database.row<{ answer: Answer }>(statement, values);
    if (row === undefined) throw new Error(`${statement.name} answered nothing`);
    return row.answer;
  }
}

/**
 * Whether the caller must be told that nobody knows: the connection broke, or there was none. An error with a code of
 * the server's is its word that the transaction is rolled back.
 */
function mayHaveHappened(error: unknown): boolean {
  const { code } = postgresError(error);
  return isUnavailable(error) && code !== '55P03' && code !== '40001' && code !== '40P01';
}

/** As JSON holds it and PostgreSQL reads it back: bytes in their hex form. */
function toJson(value: unknown): unknown {
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value;
}
