import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import { isLostRace } from '../errors/database-errors.js';
import { IdempotencyMismatch } from '../errors/service-error.js';
import type { Idempotency } from '../http/idempotency.js';
import { Turns } from '../turns.js';
import { Database, type Operation } from './database.js';
import { DatabasePool } from './driver.js';

/** The most changes that wait in this process, for one turn and in all. */
const MAXIMUM_WAITING_PER_TURN = 1000;
const MAXIMUM_WAITING = 10_000;
/** A lost race is rolled back whole and tried again, at most this often. */
const MAXIMUM_ATTEMPTS = 4;

const EARLIER = 'SELECT idempotency_earlier($1) AS earlier';
const KEEP = 'SELECT idempotency_keep($1)';

type Earlier<Answer> = { outcome: 'idempotency_mismatch' } | { outcome: 'ok'; answer: Answer };

/** An answer, and whether it is the earlier one of the same request. */
export interface Once<Answer> {
  readonly answer: Answer;
  readonly replayed: boolean;
}

/**
 * Changes that come one after the other: they wait for their turn here, before they take a connection, so that however
 * many there are, one connection of this instance waits for the lock.
 */
@Injectable()
export class Changes {
  private readonly turns: Turns;

  constructor(
    private readonly dataSource: DataSource,
    private readonly database: Database,
    pool: DatabasePool,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.turns = new Turns({
      perKey: 1,
      // However many accounts are locked, the other half of the connections is for everything else.
      inAll: Math.max(Math.floor(pool.options.max / 2), 1),
      patienceMilliseconds: config.database.connectTimeoutMilliseconds,
      waitingPerKey: MAXIMUM_WAITING_PER_TURN,
      waitingInAll: MAXIMUM_WAITING,
    });
  }

  /**
   * What one operation returns.
   *
   * @param turn what the change waits for, such as `api-keys:alice`
   * @param request or what makes it when its turn has come
   * @throws ServiceUnavailable when too many wait, or when this one has waited for too long
   */
  call<Request extends object, Answer>(
    turn: string,
    operation: Operation<Request, Answer>,
    request: Request | (() => Promise<Request>),
  ): Promise<Answer> {
    return this.turns.run(turn, async () =>
      this.database.call(operation, typeof request === 'function' ? await request() : request),
    );
  }

  /** One transaction. @throws ServiceUnavailable as above */
  transaction<Answer>(turn: string, work: (manager: EntityManager) => Promise<Answer>): Promise<Answer> {
    return this.turns.run(turn, async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.dataSource.transaction(work);
        } catch (error) {
          if (attempt >= MAXIMUM_ATTEMPTS || !isLostRace(error)) throw error;
        }
      }
    });
  }

  /**
   * One transaction, carried out once under its idempotency key, which is written with the answer in that transaction.
   *
   * @throws IdempotencyMismatch; ServiceUnavailable as above
   */
  once<Answer extends object>(
    turn: string,
    { callerId, idempotencyKey, requestHash }: Idempotency,
    work: (manager: EntityManager) => Promise<Answer>,
  ): Promise<Once<Answer>> {
    return this.transaction(turn, async (manager) => {
      if (idempotencyKey === null) return { answer: await work(manager), replayed: false };
      // What these change is no account's: the keys are kept under the caller.
      const request = { accountId: callerId, callerId, idempotencyKey, requestHash };
      const [row] = await manager.query<{ earlier: Earlier<Answer> | null }[]>(EARLIER, [
        JSON.stringify(request),
      ]);
      const earlier = row?.earlier ?? null;
      if (earlier?.outcome === 'idempotency_mismatch') throw new IdempotencyMismatch();
      if (earlier !== null) return { answer: earlier.answer, replayed: true };
      const answer = await work(manager);
      await manager.query(KEEP, [JSON.stringify({ ...request, answer: { outcome: 'ok', answer } })]);
      return { answer, replayed: false };
    });
  }
}
