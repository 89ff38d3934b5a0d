import { Inject, Injectable } from '@nestjs/common';
import { Database } from '../common/database/database.js';
import { inLanes } from '../common/lanes.js';
import { isOutage } from '../common/errors/database-errors.js';
import { Metrics } from '../common/metrics/metrics.service.js';
import { Sweeper } from '../common/sweeper.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { TIME_OUT } from './sessions.operations.js';

/** Sessions looked up at a time, and the most that one pass ends. */
const BATCH = 100;
const MAXIMUM_PER_PASS = 10_000;
/** Busy accounts that one pass waits for at once, and for how long in all: the next pass may find other accounts' sessions. */
const LANES = 4;
const WAITING_MILLISECONDS = 2000;

/** In the order of their expiry, each batch after the last one of the batch before, so that none is met twice. */
const STALE_SESSIONS = {
  name: 'sessions_stale',
  text: `SELECT account_id, user_id, session_id, expires_at::text FROM streaming_sessions
          WHERE status = 'active' AND expires_at <= now()
            AND (expires_at, account_id, user_id, session_id) > ($2::timestamptz, $3, $4, $5)
          ORDER BY expires_at, account_id, user_id, session_id LIMIT $1`,
};

interface StaleSession {
  account_id: string;
  user_id: string;
  session_id: string;
  expires_at: string;
}

/**
 * Ends sessions whose lease has run out. Every instance runs it: each session is ended by one SQL function that looks
 * again under the user's lock, so two sweepers, or a sweeper and a late finalize, end it once.
 */
@Injectable()
export class StreamingSessionsSweeper extends Sweeper {
  constructor(
    private readonly database: Database,
    private readonly metrics: Metrics,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    super('Session sweeper', config.sweepIntervalSeconds);
  }

  /** One pass. Answers how many sessions this instance has ended. */
  async sweep(stopped?: AbortSignal): Promise<number> {
    let ended = 0;
    const busy = new Map<string, StaleSession[]>();
    for await (const session of this.stale()) {
      if (stopped?.aborted) break;
      // SKIP LOCKED first: a busy user does not hold up the others, and two sweepers share the work.
      const outcome = await this.end(session, false);
      if (outcome === 'ok') ended++;
      else if (outcome === 'busy') {
        const { account_id: account } = session;
        const waiting = busy.get(account);
        if (waiting === undefined) busy.set(account, [session]);
        else waiting.push(session);
      }
    }
    // Then with some patience, so that an account which is always busy is swept too. No account keeps the others from it.
    const until = performance.now() + WAITING_MILLISECONDS;
    await inLanes(LANES, shuffled([...busy.values()]), async (sessions) => {
      for (const session of sessions) {
        if (stopped?.aborted || performance.now() > until) return;
        const outcome = await this.end(session, true);
        if (outcome === 'busy') return;
        if (outcome === 'ok') ended++;
      }
    });
    this.metrics.countSweptSessions(ended);
    return ended;
  }

  /** One session that cannot be ended must not keep the others from it. */
  private async end({ account_id, user_id, session_id }: StaleSession, wait: boolean) {
    try {
      const session = { accountId: account_id, userId: user_id, sessionId: session_id };
      return (await this.database.call(TIME_OUT, { ...session, wait })).outcome;
    } catch (error) {
      if (isOutage(error)) throw error;
      this.logger.error(
        `Session ${session_id} of ${account_id} cannot be ended: ${(error as Error).message}`,
      );
      return 'failed';
    }
  }

  private async *stale(): AsyncGenerator<StaleSession> {
    let last: StaleSession = { expires_at: '-infinity', account_id: '', user_id: '', session_id: '' };
    for (let found = 0; found < MAXIMUM_PER_PASS; found += BATCH) {
      const batch = await this.database.rows<StaleSession>(STALE_SESSIONS, [
        BATCH,
        last.expires_at,
        last.account_id,
        last.user_id,
        last.session_id,
      ]);
      yield* batch;
      if (batch.length < BATCH) return;
      last = batch.at(-1) as StaleSession;
    }
  }
}

/** In an order that no account can choose. */
function shuffled<Item>(items: Item[]): Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item);
}
