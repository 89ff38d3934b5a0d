import { Inject, Injectable } from '@nestjs/common';
import { Combiner, type Keyed, NOT_CARRIED_OUT } from '../common/database/combiner.js';
import { Database, type Statement } from '../common/database/database.js';
import { mayBeOfOneRequest } from '../common/errors/database-errors.js';
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
}

/**
 * Movements of credits on their way to the database. One account has one statement under way at a time, so what would
 * wait there for the account's lock waits here instead, and then goes together. Rules in README.md beside this file.
 */
@Injectable()
export class MovementQueue {
  private readonly combiner: Combiner<Movement, unknown>;

  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.combiner = new Combiner<Movement, unknown>({
      isCombining: config.combinesMovements,
      lanes: LANES,
      maximumTogether: MAXIMUM_TOGETHER,
      maximumWaitingPerKey: MAXIMUM_WAITING_PER_ACCOUNT,
      maximumWaiting: MAXIMUM_WAITING,
      patienceMilliseconds: config.database.connectTimeoutMilliseconds,
      isOneByOnePerKey: true,
      together: (movements) => this.together(movements),
      alone: ({ work: { statement, values } }) => this.database.answer(statement, values, 'movements'),
      mayBeOfOne: mayBeOfOneRequest,
    });
  }

  /** Movements that wait for their turn. */
  get size(): number {
    return this.combiner.size;
  }

  /**
   * The answer of one operation on one account, whose user is its first value.
   *
   * @throws ServiceUnavailable when too many wait, or when this one has waited too long
   */
  run<Answer>(statement: Statement, values: unknown[]): Promise<Answer> {
    return this.combiner.ask(values[0] as string, { statement, values }) as Promise<Answer>;
  }

  /** Whatever the statement has not come to in a fifth of a second goes again, so that no movement waits long for others. */
  private async together(movements: readonly Keyed<Movement>[]): Promise<unknown[]> {
    const calls = movements.map(({ work }) => [work.statement.name, work.values.map(toJson)]);
    const hasSeveralAccounts = movements.some(({ key }) => key !== movements[0]?.key);
    const answers = await this.database.answers<{ outcome: string }>(
      MOVEMENTS,
      [JSON.stringify(calls), hasSeveralAccounts ? LOCK_MILLISECONDS : 0],
      'movements',
    );
    // Whether they were carried out is unknown.
    if (answers.length !== movements.length) throw new ServiceUnavailable();
    return answers.map((answer) => (answer.outcome === 'not_carried_out' ? NOT_CARRIED_OUT : answer));
  }
}

/** As JSON holds it and PostgreSQL reads it back: bytes in their hex form. */
function toJson(value: unknown): unknown {
  return Buffer.isBuffer(value) ? `\\x${value.toString('hex')}` : value;
}
