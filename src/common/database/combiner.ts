import { LRUCache } from 'lru-cache';
import { ServiceUnavailable } from '../errors/service-error.js';

/** A statement that runs longer than this leaves its lane to the others: its keys are locked, or have much to do. */
const LANE_MILLISECONDS = 250;
/** Slow keys that are remembered. */
const MAXIMUM_SLOW_KEYS = 1000;

/** Stands for the answer to a request that a combined statement left out: it goes again. */
export const NOT_CARRIED_OUT = Symbol('not carried out');

export interface CombinerOptions<Work, Answer> {
  /** Whether requests that wait go together; else each goes alone, at once. */
  readonly isCombining: boolean;
  /** Statements under way at once. While all lanes are in use, requests gather, and go together in the next statement. */
  readonly lanes: number;
  /** The most requests of one statement. */
  readonly maximumTogether: number;
  /** Whether requests of several keys may go in one statement, asked for each statement; left out: they may. */
  mayMixKeys?(): boolean;
  /** Statements of slow keys under way at once; the connections beyond them are for other keys. */
  readonly maximumSlow: number;
  /** The most requests that wait, for one key and in all; the next one is refused at once. */
  readonly maximumWaitingPerKey: number;
  readonly maximumWaiting: number;
  /** The longest time that a request waits for its statement to be sent. */
  readonly patienceMilliseconds: number;
  /** Whether a key has at most one statement under way. Its requests are then carried out in the order they came in. */
  readonly isOneByOnePerKey: boolean;
  /**
   * Carries out several requests in one statement and resolves with their answers in the same order; the last ones may be
   * NOT_CARRIED_OUT. When it rejects, mayBeOfOne says whether nothing was carried out.
   */
  together(requests: readonly Keyed<Work>[]): Promise<(Answer | typeof NOT_CARRIED_OUT)[]>;
  alone(request: Keyed<Work>): Promise<Answer>;
  /** Whether an error of `together` proves that nothing was carried out, and may be the fault of one request alone. */
  mayBeOfOne(error: unknown): boolean;
}

export interface Keyed<Work> {
  readonly key: string;
  readonly work: Work;
}

interface Request<Work, Answer> extends Keyed<Work> {
  readonly askedAt: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** Requests of one statement, by key. */
type Batch<Work, Answer> = { key: string; requests: Request<Work, Answer>[] }[];

/**
 * Requests on their way to the database. A request that finds a free lane goes alone, at once; those that have to wait
 * gather, and go together in one statement. Each caller gets its own answer or its own error, exactly once: at the
 * latest when it has waited for `patienceMilliseconds` and then for one statement.
 */
export class Combiner<Work, Answer> {
  /** By key, in the order in which the keys began to wait. */
  private readonly waiting = new Map<string, Request<Work, Answer>[]>();
  private waitingCount = 0;
  /** Keys of the statements under way, where a key has one at a time. */
  private readonly busy = new Set<string>();
  /** Keys whose last statement outlived its lane. Each goes by itself, so that no other key waits in its statement. */
  private readonly slow = new LRUCache<string, true>({ max: MAXIMUM_SLOW_KEYS });
  private lanesInUse = 0;
  private slowUnderWay = 0;
  private deadline: NodeJS.Timeout | undefined;

  constructor(private readonly options: CombinerOptions<Work, Answer>) {}

  /** Requests that wait for a statement. */
  get size(): number {
    return this.waitingCount;
  }

  /** @throws ServiceUnavailable when too many requests wait, or when this one has waited for too long */
  ask(key: string, work: Work): Promise<Answer> {
    if (!this.options.isCombining) return this.options.alone({ key, work });
    return new Promise<Answer>((resolve, reject) => {
      const { maximumWaiting, maximumWaitingPerKey } = this.options;
      const others = this.waiting.get(key);
      if (this.waitingCount >= maximumWaiting || (others?.length ?? 0) >= maximumWaitingPerKey) {
        throw new ServiceUnavailable();
      }
      const request = { key, work, askedAt: performance.now(), resolve, reject };
      this.waitingCount++;
      if (others === undefined) this.waiting.set(key, [request]);
      else others.push(request);
      this.dispatch();
    });
  }

  /** Fills the free lanes with what waits, and watches over the rest. */
  private dispatch(): void {
    while (this.waitingCount > 0 && this.lanesInUse < this.options.lanes) {
      const batch = this.take();
      if (batch.length === 0) break;
      this.occupyLane(batch);
    }
    if (this.waitingCount > 0) this.deadline ??= this.startDeadline();
  }

  /** Takes out of the waiting line what goes next: keys that are not under way, those that have waited longest first. */
  private take(): Batch<Work, Answer> {
    const batch: Batch<Work, Answer> = [];
    let room = this.options.maximumTogether;
    for (const [key, waiting] of this.waiting) {
      if (room === 0) break;
      const isSlow = this.slow.has(key);
      const goesAlone = this.options.mayMixKeys?.() === false || isSlow;
      if (this.busy.has(key) || (goesAlone && batch.length > 0)) continue;
      if (isSlow && this.slowUnderWay >= this.options.maximumSlow) continue;
      this.rejectLate(waiting);
      const requests = waiting.splice(0, room);
      this.waitingCount -= requests.length;
      if (waiting.length === 0 || goesAlone) this.waiting.delete(key);
      // What is left of such a key waits behind the other keys.
      if (waiting.length > 0 && goesAlone) this.waiting.set(key, waiting);
      if (requests.length === 0) continue;
      room -= requests.length;
      if (this.options.isOneByOnePerKey) this.busy.add(key);
      batch.push({ key, requests });
      if (goesAlone) break;
    }
    return batch;
  }

  private occupyLane(batch: Batch<Work, Answer>): void {
    let isOccupied = true;
    // A slow key goes alone.
    const isSlow = this.slow.has(batch[0]?.key ?? '');
    this.lanesInUse++;
    if (isSlow) this.slowUnderWay++;
    const leave = () => {
      if (isOccupied) this.lanesInUse--;
      isOccupied = false;
      this.dispatch();
    };
    const timer = setTimeout(() => {
      for (const { key } of batch) this.slow.set(key, true);
      leave();
    }, LANE_MILLISECONDS);
    void this.send(batch).then((answer) => {
      clearTimeout(timer);
      if (isSlow) this.slowUnderWay--;
      if (isOccupied) for (const { key } of batch) this.slow.delete(key);
      // Also of a statement that has left its lane already: its keys are free only now. The next statement is on its way
      // before the requests of this one go on, so that the database does not wait for their responses.
      leave();
      answer();
    });
  }

  /** Never rejects: each request gets its own error. Resolves with what answers those that have no answer yet. */
  private async send(batch: Batch<Work, Answer>): Promise<() => void> {
    const requests = batch.flatMap((part) => part.requests);
    const answer = requests.length > 1 ? await this.sendTogether(requests) : undefined;
    if (answer === undefined) await Promise.all(batch.map((part) => this.sendOneByOne(part)));
    else for (const { key } of batch) this.busy.delete(key);
    return answer ?? (() => undefined);
  }

  /** @returns undefined when nothing was carried out and each request is to go alone, to get what is its own */
  private async sendTogether(requests: Request<Work, Answer>[]): Promise<(() => void) | undefined> {
    try {
      const answers = await this.options.together(requests);
      this.putBack(requests.filter((_, index) => answers[index] === NOT_CARRIED_OUT));
      return () =>
        requests.forEach(({ resolve }, index) => {
          if (answers[index] !== NOT_CARRIED_OUT) resolve(answers[index] as Answer);
        });
    } catch (error) {
      if (this.options.mayBeOfOne(error)) return undefined;
      return () => requests.forEach(({ reject }) => reject(error));
    }
  }

  /** Puts requests at the head of their lines, in their order. */
  private putBack(requests: Request<Work, Answer>[]): void {
    for (const request of requests.reverse()) {
      const others = this.waiting.get(request.key);
      if (others === undefined) this.waiting.set(request.key, [request]);
      else others.unshift(request);
      this.waitingCount++;
    }
    // They have waited longer than the others that the deadline was set for.
    clearTimeout(this.deadline);
    this.deadline = undefined;
  }

  private async sendOneByOne({ key, requests }: Batch<Work, Answer>[number]): Promise<void> {
    for (const request of requests) {
      if (this.isLate(request)) request.reject(new ServiceUnavailable());
      else await this.options.alone(request).then(request.resolve, request.reject);
    }
    this.busy.delete(key);
    this.dispatch();
  }

  private isLate({ askedAt }: Request<Work, Answer>): boolean {
    return askedAt + this.options.patienceMilliseconds < performance.now();
  }

  /** Rejects those of a key's requests that have waited for too long: the first ones, as they are in order. */
  private rejectLate(waiting: Request<Work, Answer>[]): void {
    while (waiting[0] !== undefined && this.isLate(waiting[0])) {
      waiting.shift()?.reject(new ServiceUnavailable());
      this.waitingCount--;
    }
  }

  /** Goes off when the request that has waited longest is late, whatever the statements under way do. */
  private startDeadline(): NodeJS.Timeout {
    let oldest = Infinity;
    for (const [first] of this.waiting.values()) oldest = Math.min(oldest, first?.askedAt ?? oldest);
    const expire = () => {
      this.deadline = undefined;
      for (const [key, waiting] of this.waiting) {
        this.rejectLate(waiting);
        if (waiting.length === 0) this.waiting.delete(key);
      }
      this.dispatch();
    };
    // A millisecond more: a timer may go off a little early.
    const milliseconds = oldest + this.options.patienceMilliseconds - performance.now() + 1;
    return setTimeout(expire, Math.max(milliseconds, 1)).unref();
  }
}
