import { setTimeout as pause } from 'node:timers/promises';
import { HttpClient } from '../../support/http-client.js';
import { accessToken } from '../../support/tokens.js';
import type { SeededRandom } from '../../support/seeded-random.js';
import type { Instance } from './instance.js';
import { type Attempt, isAnswered, type Remembered, type Step } from './memory.js';

export const PATHS: Record<Step, string> = {
  allocate: '/api/credits/allocate',
  deduct: '/api/credits/deduct',
  charge: '/api/usage/charge',
  record: '/api/usage/record',
  initialize: '/api/streaming-sessions/initialize',
  progress: '/api/streaming-sessions/progress',
  finalize: '/api/streaming-sessions/finalize',
  abort: '/api/streaming-sessions/abort',
  balance: '/api/credits/balance',
};
const WITH_IDEMPOTENCY_KEY: Step[] = ['allocate', 'deduct', 'record'];
const BY_BOSS: Step[] = ['allocate', 'deduct'];
/** Long after the service should have answered: then it never will. */
const PATIENCE_MILLISECONDS = 60_000;
/** How long a client goes on asking after the last fault is over. */
const DRAIN_MILLISECONDS = 60_000;

/** Signals to the clients that the faults are over: then each finishes what it is at. */
export interface Bell {
  rungAt: number | undefined;
}

/** Sends requests to any instance that is there, asks again until it is answered, and remembers everything. */
export class ChaosClient {
  private readonly user: Record<string, string>;
  private readonly boss: Record<string, string>;

  constructor(
    private readonly instances: Instance[],
    private readonly memory: Remembered[],
    private readonly bell: Bell,
    readonly random: SeededRandom,
    readonly userId: string,
  ) {
    this.user = { authorization: `Bearer ${accessToken({ sub: userId })}` };
    this.boss = { authorization: `Bearer ${accessToken({ sub: 'boss', role: 'admin' })}` };
  }

  /**
   * Asks until there is an answer, always under the same key. Some clients give up, some ask twice at once, and some ask
   * again although they have been answered.
   *
   * @returns the answer; undefined when the client does not know what became of it
   */
  async ask(step: Step, key: string, body: Record<string, unknown>): Promise<Attempt | undefined> {
    const request: Remembered = { step, userId: this.userId, key, body, attempts: [], abandoned: false };
    this.memory.push(request);
    const isTwin = this.random.chance(0.03);
    for (;;) {
      const attempts = await Promise.all(
        isTwin && request.attempts.length === 0
          ? [this.send(request), this.send(request)]
          : [this.send(request)],
      );
      const answer = attempts.find(isAnswered);
      if (answer !== undefined) {
        if (this.random.chance(0.05)) await this.send(request);
        return answer;
      }
      request.abandoned = this.random.chance(0.08);
      if (request.abandoned) return undefined;
      if (Date.now() > (this.bell.rungAt ?? Infinity) + DRAIN_MILLISECONDS) return undefined;
      await pause(this.random.integer(50, 400));
    }
  }

  private async send(request: Remembered): Promise<Attempt> {
    const { step, key, body } = request;
    const instance = await this.someInstance();
    const http = new HttpClient(instance.url, BY_BOSS.includes(step) ? this.boss : this.user, this.userId);
    const headers: Record<string, string> = WITH_IDEMPOTENCY_KEY.includes(step)
      ? { 'idempotency-key': key }
      : {};
    const startedAt = Date.now();
    const call = step === 'balance' ? http.get(PATHS[step]) : http.post(PATHS[step], body, headers);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, fail) => {
      timer = setTimeout(fail, PATIENCE_MILLISECONDS, new TypeError('never answered'));
    });
    const known = { instance: instance.name, startedAt };
    let attempt: Attempt;
    try {
      const { status, body: answer, headers: sent } = await Promise.race([call, late]);
      const retryAfter = sent.get('retry-after');
      const milliseconds = Date.now() - startedAt;
      attempt = { ...known, milliseconds, status, body: answer, retryAfter, trouble: '' };
    } catch (error) {
      // A lost connection is a TypeError of fetch; anything else is an answer that the document does not allow.
      const trouble = error instanceof TypeError ? 'no answer' : (error as Error).message;
      attempt = {
        ...known,
        milliseconds: Date.now() - startedAt,
        status: 0,
        body: {},
        retryAfter: null,
        trouble,
      };
    } finally {
      clearTimeout(timer);
    }
    request.attempts.push(attempt);
    return attempt;
  }

  /** One of those that listen, as a load balancer would choose; waits when there is none. */
  private async someInstance(): Promise<Instance> {
    for (;;) {
      const alive = this.instances.filter((instance) => instance.alive);
      if (alive.length > 0) return this.random.pick(alive);
      await pause(20);
    }
  }
}
