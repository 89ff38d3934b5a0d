import { setImmediate as nextTurn } from 'node:timers/promises';
import type { HoldAnswer, ProgressAnswer, SettledAnswer } from './api.js';
import { AccountingError, AccountingUnavailable, CreditsExhausted, misuse } from './errors.js';
import type { components } from './schema.js';

type Schemas = components['schemas'];

/** What a call used: the provider's own usage object, quantities by class, or token counts. */
export interface CallUsage {
  provider?: Schemas['UsageProvider'];
  /** The provider's usage object, unchanged. */
  usage?: Record<string, unknown>;
  quantities?: Schemas['QuantitiesDto'];
  /** Excluding cached ones. */
  inputTokens?: number;
  outputTokens?: number;
  cachedInputTokens?: number;
  serviceTier?: Schemas['ServiceTier'];
  /** Whether the call ended as it should; default true. */
  success?: boolean;
  /** Where the counts come from; default `provider` if there is a usage object. */
  usageSource?: 'provider' | 'drained' | 'estimated';
}

/** When a session reports its progress: whichever comes first. */
export interface ProgressOptions {
  /** Generated tokens since the last report. */
  everyTokens: number;
  everySeconds: number;
}

/** How a session reaches the service; `Accounting` makes it. */
export interface SessionPort {
  progress(tokensGenerated: number): Promise<ProgressAnswer>;
  settle(route: 'finalize' | 'abort', body: object): Promise<SettledAnswer | undefined>;
  reportError(error: Error): void;
  /** Called once, when the session is settled or will be by its lease. */
  ended(): void;
}

/** A third of the lease may pass without a new token before the lease is renewed all the same. */
const LEASES_PER_RENEWAL = 3;

/** One call to a model, with the credits that the service holds for it. It is settled once, by `finalize` or `abort`. */
export class Session {
  /** The most output tokens that the call may generate: what was declared, or less if the credits pay for less. */
  readonly maxOutputTokens: number;
  /** Aborts with `CreditsExhausted` as its reason when the service says that the stream should stop. */
  readonly signal: AbortSignal;
  private readonly stopping = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly renewMilliseconds: number;
  private newest = 0;
  private reported = 0;
  private reportedAt = performance.now();
  /** The report under way. */
  private reporting: Promise<void> | undefined;
  /** Output tokens that the latest answer said to be paid for. */
  private affordable: number;
  private isSettled = false;

  /** @param held the service's answer; undefined: the call was let through without a hold */
  constructor(
    readonly id: string,
    readonly modelId: string,
    readonly inputTokens: number,
    maxOutputTokens: number,
    readonly held: HoldAnswer | undefined,
    private readonly progress: ProgressOptions,
    private readonly port: SessionPort,
  ) {
    this.maxOutputTokens = Math.min(maxOutputTokens, held?.maxAffordableTokens ?? Infinity);
    this.affordable = held?.maxAffordableTokens ?? Infinity;
    this.signal = this.stopping.signal;
    const leaseMilliseconds = held ? Date.parse(held.expiresAt) - Date.parse(held.startedAt) : Infinity;
    this.renewMilliseconds = leaseMilliseconds / LEASES_PER_RENEWAL;
    const everyMilliseconds = Math.min(progress.everySeconds * 1000, this.renewMilliseconds);
    this.timer = setInterval(() => this.onTimer(), everyMilliseconds).unref();
  }

  /** Why the stream should stop; undefined while it may go on. */
  get stopped(): CreditsExhausted | undefined {
    return this.signal.reason as CreditsExhausted | undefined;
  }

  /** The highest count that was passed to `report`. */
  get tokensGenerated(): number {
    return this.newest;
  }

  /**
   * Counts the tokens generated since the start of the call. It returns at once; a request is made for the first tokens,
   * and when enough tokens or seconds have passed since the last one, never two at a time.
   */
  report(tokensGenerated: number): void {
    if (tokensGenerated > this.newest) this.newest = Math.floor(tokensGenerated);
    if (this.newest - this.reported >= this.dueAfter) this.send();
  }

  /**
   * At the last token that is paid for, as far as is known, waits for the service's answer whether to go on.
   *
   * @param bound the maximum that the provider was given: it ends there by itself
   */
  async askAtLimit(bound = Infinity): Promise<void> {
    if (this.newest < this.affordable || bound <= this.affordable) return;
    await this.reporting;
    if (this.newest > this.reported) this.send();
    await this.reporting;
  }

  /**
   * The new tokens after which a report is due: fewer and fewer where the credits come to their end. The first is reported
   * at once: a process that is killed after it has paid for its prompt.
   */
  private get dueAfter(): number {
    if (this.reported === 0) return 1;
    return Math.min(
      this.progress.everyTokens,
      Math.max(Math.floor((this.affordable - this.reported) / 2), 1),
    );
  }

  /**
   * Charges what the call used and returns the rest of the hold.
   *
   * @returns the service's answer; undefined if it does not answer now: the settlement is kept and repeated
   * @throws AccountingError for a second settlement (`client.session_settled`), or if the service refuses this one; after
   *   a 400 the session is open again
   */
  finalize(usage: CallUsage): Promise<SettledAnswer | undefined> {
    return this.settle('finalize', usage);
  }

  /**
   * Ends a call that did not take place, or was broken off.
   *
   * @param tokensGenerated output tokens to charge, with the input tokens; 0 charges nothing
   */
  abort(tokensGenerated = this.newest): Promise<SettledAnswer | undefined> {
    return this.settle('abort', { tokensGenerated });
  }

  private async settle(route: 'finalize' | 'abort', body: object): Promise<SettledAnswer | undefined> {
    if (this.isSettled) throw misuse('session_settled', `Session ${this.id} is already settled`);
    this.isSettled = true;
    try {
      const answer = await this.port.settle(route, body);
      this.end();
      return answer;
    } catch (error) {
      if (error instanceof AccountingError && error.status === 400) this.isSettled = false;
      else this.end();
      throw error;
    }
  }

  private end(): void {
    clearInterval(this.timer);
    this.port.ended();
  }

  private onTimer(): void {
    const since = performance.now() - this.reportedAt;
    if (this.newest > this.reported || since >= this.renewMilliseconds) this.send();
  }

  private send(): void {
    if (this.reporting || this.isSettled || this.held === undefined || this.stopped) return;
    this.reported = this.newest;
    this.reportedAt = performance.now();
    // The consumer gets the chunk first: making a request takes half a millisecond.
    this.reporting = nextTurn()
      .then(() => this.port.progress(this.reported))
      .then((answer) => this.obey(answer))
      .catch((error: AccountingError) => {
        // An outage does not stop a stream, nor does a report that arrives after the settlement.
        if (this.newest >= this.affordable) this.affordable = Infinity;
        if (!(error instanceof AccountingUnavailable) && !this.isSettled) this.port.reportError(error);
      })
      .finally(() => {
        this.reporting = undefined;
        this.report(this.newest);
      });
  }

  private obey({ shouldStop, reason, limits, maxAffordableTokens }: ProgressAnswer): void {
    this.affordable = maxAffordableTokens;
    if (!shouldStop || this.isSettled) return;
    const details = { status: 402, code: reason ?? 'credits.insufficient', limits, maxAffordableTokens };
    const message = `The stream was stopped: ${reason ?? 'the credits do not cover more'}`;
    this.stopping.abort(new CreditsExhausted(message, { ...details, generatedTokens: this.newest }));
  }
}
