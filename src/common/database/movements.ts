import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { mayBeOfOneRequest } from '../errors/database-errors.js';
import { ServiceUnavailable } from '../errors/service-error.js';
import { Combiner, type Keyed, NOT_CARRIED_OUT } from './combiner.js';
import { type AccountRequest, Database, type Operation } from './database.js';
import { LOCK_MILLISECONDS } from './driver.js';

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
const LOCK_MILLISECONDS_TOGETHER = 250;

/** The one function that carries out several operations by their names: in `src/sql`, since it calls those of all modules. */
const MOVEMENTS = { name: 'movements', text: 'SELECT place, answer FROM movements($1, $2, $3)' };

interface Movement {
  /** The operation's. */
  readonly name: string;
  readonly request: AccountRequest;
  alone(): Promise<unknown>;
}

/**
 * Movements of credits on their way to the database. One account has one statement under way at a time, so what would
 * wait there for the account's lock waits here instead, and then goes together. Rules in the README of the credits module.
 */
@Injectable()
export class Movements {
  private readonly combiner: Combiner<Movement, unknown>;

  constructor(
    private readonly database: Database,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.combiner = new Combiner<Movement, unknown>({
      isCombining: config.combinesMovements,
      get lanes() {
        // One account each, and on servers that do not wait for each other.
        return database.isDistributed ? config.database.poolSize : LANES;
      },
      maximumTogether: MAXIMUM_TOGETHER,
      maximumSlow: Math.max(Math.floor(config.database.poolSize / 2), 1),
      maximumWaitingPerKey: MAXIMUM_WAITING_PER_ACCOUNT,
      maximumWaiting: MAXIMUM_WAITING,
      patienceMilliseconds: config.database.connectTimeoutMilliseconds,
      isOneByOnePerKey: true,
      // On a cluster a statement goes to one account's server.
      mayMixKeys: () => !database.isDistributed,
      together: (movements) => this.together(movements),
      alone: ({ work }) => work.alone(),
      mayBeOfOne: mayBeOfOneRequest,
    });
  }

  /** Movements that wait for their turn. */
  get size(): number {
    return this.combiner.size;
  }

  /**
   * What one operation on one account returns.
   *
   * @throws ServiceUnavailable when too many wait, or when this one has waited too long
   */
  run<Request extends AccountRequest, Answer>(
    operation: Operation<Request, Answer>,
    request: Request,
  ): Promise<Answer> {
    const alone = () => this.database.call(operation, request, 'movements');
    const movement = { name: operation.name, request, alone };
    return this.combiner.ask(request.accountId, movement) as Promise<Answer>;
  }

  /** What the statement has not come to in a fifth of a second goes again, so that no movement waits long for others. */
  private async together(movements: readonly Keyed<Movement>[]): Promise<unknown[]> {
    const inOrder = endsFirst(movements);
    const calls = inOrder.map(({ work: { name, request } }) => ({ ...request, operation: name }));
    const hasSeveralAccounts = movements.some(({ key }) => key !== movements[0]?.key);
    const rows = await this.database.rows<{ place: string; answer: { outcome: string } | null }>(
      MOVEMENTS,
      [
        movements[0]?.key,
        JSON.stringify(calls),
        hasSeveralAccounts ? LOCK_MILLISECONDS_TOGETHER : LOCK_MILLISECONDS,
      ],
      'movements',
    );
    const answers = new Map(rows.map(({ place, answer }) => [inOrder[Number(place) - 1], answer]));
    return movements.map((movement) => {
      const answer = answers.get(movement);
      // Whether it was carried out is unknown.
      if (typeof answer !== 'object' || answer === null) throw new ServiceUnavailable();
      return answer.outcome === 'not_carried_out' ? NOT_CARRIED_OUT : answer;
    });
  }
}

/**
 * Ends of sessions go before the other movements, but after earlier ones of the same session: what they give back is there
 * for the others, and their budgets count them at once.
 */
function endsFirst(movements: readonly Keyed<Movement>[]): Keyed<Movement>[] {
  const sessions = new Set<string>();
  const ends = new Set(
    movements.filter(({ work: { name, request } }) => {
      const { accountId, userId, sessionId } = request as AccountRequest & Record<string, unknown>;
      const session = JSON.stringify([accountId, userId, sessionId]);
      const isFirst = !sessions.has(session);
      sessions.add(session);
      return isFirst && name === 'session_settle';
    }),
  );
  return [...ends, ...movements.filter((movement) => !ends.has(movement))];
}
