import type { Accounting, OnLeave } from './accounting.js';
import { AccountingError, CreditsExhausted, misuse } from './errors.js';
import type { CallUsage, Session } from './session.js';
import { charactersPerToken, type CountTokens, learnRate } from './tokens.js';

/** What a stream, or an answer, has shown so far. */
export interface Seen {
  /** Everything generated that could be seen, of all choices. */
  text: string;
  /** The provider's usage as far as it is known. */
  usage?: Record<string, unknown>;
  /** Whether `usage` is the whole call's. */
  isComplete: boolean;
  /** Whether the model has finished, so that only the usage is missing. */
  isFinished: boolean;
  /** Whether the provider reported that the call failed. */
  hasFailed: boolean;
  /** Whether the model generated what is not in `text`. */
  isPartlyHidden?: boolean;
  serviceTier?: string;
}

/** How one provider's calls are read. */
export interface Format<Event> {
  /** For the policy of streams that are left early. */
  provider: string;
  /** Reads an event of a stream. @returns false if the consumer did not ask for this event */
  read(event: Event, seen: Seen): boolean;
  /** What the call has used, as the provider reports it. */
  complete(usage: Record<string, unknown>): CallUsage;
  /** Output tokens of what could be seen, for the rate of characters to tokens. */
  visibleTokens(usage: Record<string, unknown>): number;
  /** What a call that was not completed has used, as far as it is known. */
  estimate(seen: Seen, inputTokens: number, outputTokens: number): CallUsage;
}

/** How a call has ended. */
type Ending =
  /** The stream, or the answer, came to its end. */
  | 'ended'
  /** The consumer left; the provider was read on. */
  | 'drained'
  /** The consumer left, or the provider's stream broke off. */
  | 'left'
  | 'failed';

/** What has arrived, and was not read yet, was billed. */
const ARRIVED_SECONDS = 0.02;
/** When the model has finished and only the usage is missing, it is worth this wait, whatever the policy. */
const FINISHED_DRAIN_SECONDS = 2;
const TIERS: Record<string, CallUsage['serviceTier']> = {
  flex: 'flex',
  priority: 'priority',
  batch: 'batch',
};

/** A call to a provider within its session: what was seen of it, and its one settlement. */
export class MeteredCall<Event> {
  readonly seen: Seen = { text: '', isComplete: false, isFinished: false, hasFailed: false };
  private readonly charactersPerToken: number;
  private settling: Promise<void> | undefined;

  constructor(
    readonly accounting: Accounting,
    readonly session: Session,
    readonly format: Format<Event>,
    private readonly count: CountTokens,
    /** Whether the provider was given the session's maximum: it generates no more, whatever the estimate says. */
    private readonly isBounded: boolean,
  ) {
    this.charactersPerToken = charactersPerToken(session.modelId);
  }

  /** @returns whether the consumer sees the event */
  read(event: Event): boolean {
    const isShown = this.format.read(event, this.seen);
    const generated = Math.ceil(this.seen.text.length / this.charactersPerToken);
    this.session.report(this.isBounded ? Math.min(generated, this.session.maxOutputTokens) : generated);
    return isShown;
  }

  /** Waits, where the next token is not paid for, for the answer whether to go on. */
  askAtLimit(): Promise<void> {
    return this.session.askAtLimit(this.isBounded ? this.session.maxOutputTokens : undefined);
  }

  /** Settles the call once; later calls wait for the first. It does not throw: what goes wrong is reported. */
  settle(ending: Ending): Promise<void> {
    this.settling ??= this.finalize(ending).catch((error: Error) => this.accounting.reportError(error));
    return this.settling;
  }

  /** The provider did not begin. @param wasGivenUp it was not waited for, so it may bill the prompt; otherwise it bills nothing */
  refuse(wasGivenUp: boolean): Promise<void> {
    if (wasGivenUp) return this.settle('failed');
    this.settling ??= this.session.abort(0).then(
      () => undefined,
      (failure: Error) => this.accounting.reportError(failure),
    );
    return this.settling;
  }

  get policy(): OnLeave {
    return this.accounting.options.onLeave?.[this.format.provider] ?? 'estimate';
  }

  /** Seconds to read on after the consumer has left. */
  get drainSeconds(): number {
    if (this.seen.isComplete) return 0;
    if (this.policy === 'drain') return this.accounting.options.drainSeconds ?? 10;
    return this.seen.isFinished ? FINISHED_DRAIN_SECONDS : ARRIVED_SECONDS;
  }

  /** The error for a stream that was stopped, with what is known of the call. */
  stopped(): CreditsExhausted | undefined {
    const { stopped } = this.session;
    if (stopped === undefined) return undefined;
    return Object.assign(stopped, { generatedTokens: this.generatedTokens, usage: this.seen.usage });
  }

  private get generatedTokens(): number {
    const counted = this.count(this.seen.text);
    return this.isBounded ? Math.min(counted, this.session.maxOutputTokens) : counted;
  }

  private async finalize(ending: Ending): Promise<void> {
    const { seen, session } = this;
    const usage = seen.isComplete || ending === 'ended' ? seen.usage : undefined;
    const success = ending !== 'failed' && !seen.hasFailed && session.stopped === undefined;
    const serviceTier = TIERS[seen.serviceTier ?? ''];
    const estimated = () => ({ ...this.estimate(), success, serviceTier, usageSource: 'estimated' as const });
    if (usage === undefined) return void (await session.finalize(estimated()));
    if (!seen.isPartlyHidden) learnRate(session.modelId, seen.text.length, this.format.visibleTokens(usage));
    const usageSource = ending === 'drained' ? ('drained' as const) : ('provider' as const);
    try {
      await session.finalize({ ...this.format.complete(usage), success, serviceTier, usageSource });
    } catch (error) {
      // Servers that imitate a provider may report a usage that is none of its own.
      if (!(error instanceof AccountingError) || error.status !== 400) throw error;
      await session.finalize(estimated());
    }
  }

  private estimate(): CallUsage {
    return this.format.estimate(this.seen, this.session.inputTokens, this.generatedTokens);
  }
}

const isAbort = (error: unknown) => (error as { name?: string } | null)?.name === 'AbortError';

/** What the SDKs of OpenAI and Anthropic return for a streamed call. */
export interface SdkStream<Event> extends AsyncIterable<Event> {
  controller: AbortController;
}
type StreamClass<Event> = new (
  iterator: () => AsyncIterator<Event>,
  controller: AbortController,
) => SdkStream<Event>;

/** A stream that was dropped without being read to its end has been left as one that was broken off. */
const dropped = new FinalizationRegistry<{ leave(): Promise<void> }>((source) => void source.leave());

/**
 * The SDK's stream, metered: of the same class, so that `tee` and the SDK's helpers work.
 *
 * @param toSdkError what the consumer gets in place of an error of ours
 */
export function meteredStream<Event>(
  stream: SdkStream<Event>,
  call: MeteredCall<Event>,
  toSdkError: (error: AccountingError) => Error,
): SdkStream<Event> {
  const source = new MeteredSource(stream, call, toSdkError);
  const Stream = stream.constructor as StreamClass<Event>;
  const metered: SdkStream<Event> = new Stream(() => source.read(), stream.controller);
  source.watch(metered);
  return metered;
}

/** Reads the provider's stream and settles the call. It knows its consumer's stream weakly, so that a dropped one is noticed. */
export class MeteredSource<Event> {
  private readonly iterator: AsyncIterator<Event>;
  private consumer: WeakRef<object> | undefined;
  private wasRead = false;
  private hasEnded = false;
  private hasThrown = false;
  /** Ends the wait for the provider's next event. */
  private release: () => void = () => undefined;

  constructor(
    private readonly stream: SdkStream<Event>,
    private readonly call: MeteredCall<Event>,
    private readonly toSdkError: (error: AccountingError) => Error,
  ) {
    this.iterator = stream[Symbol.asyncIterator]();
    call.session.signal.addEventListener('abort', () => void this.breakOff(), { once: true });
    // An aborted stream may never answer: the SDKs wait for ever if its last event has arrived, the AI SDK does not read on.
    // A stream that failed is aborted, too; its error comes first.
    const onAbort = () => setImmediate(() => void this.breakOff());
    stream.controller.signal.addEventListener('abort', onAbort, { once: true });
    call.accounting.onExit(call.session, () => this.breakOff());
  }

  watch(consumer: object): void {
    this.consumer = new WeakRef(consumer);
    dropped.register(consumer, this);
  }

  read(): AsyncIterator<Event> {
    if (this.wasRead)
      throw this.toSdkError(
        misuse('stream_read', 'This stream was read already; use tee() to read it twice'),
      );
    this.wasRead = true;
    return new MeteredIterator(this, this.consumer?.deref());
  }

  async next(): Promise<IteratorResult<Event>> {
    while (!this.hasEnded) {
      await this.call.askAtLimit();
      if (this.call.session.stopped) await this.breakOff();
      // Stopped, or left meanwhile.
      if (this.hasEnded) break;
      let result: IteratorResult<Event>;
      try {
        result = await this.pull();
      } catch (error) {
        this.hasEnded = true;
        await this.call.settle(isAbort(error) ? 'left' : 'failed');
        throw this.stopError() ?? error;
      }
      if (!result.done && this.call.read(result.value)) return result;
      if (result.done) await this.end();
    }
    const error = this.stopError();
    if (error) throw error;
    return { done: true, value: undefined };
  }

  /** The consumer has left: a loop was broken off or threw, or its stream was dropped. */
  async leave(): Promise<void> {
    if (this.hasEnded) return;
    this.hasEnded = true;
    const seconds = this.call.drainSeconds;
    if (seconds === 0 || this.stream.controller.signal.aborted) return this.breakOff();
    const drained = this.drain(seconds);
    // The consumer does not wait for more.
    if (seconds === ARRIVED_SECONDS) await drained;
  }

  /** Ends the provider's request and settles with what was seen. */
  async breakOff(): Promise<void> {
    this.hasEnded = true;
    this.stream.controller.abort();
    this.release();
    await this.call.settle('left');
  }

  private pull(): Promise<IteratorResult<Event>> {
    return new Promise((resolve, reject) => {
      this.release = () => resolve({ done: true, value: undefined });
      this.iterator.next().then(resolve, reject);
    });
  }

  private async end(): Promise<void> {
    this.hasEnded = true;
    // The SDK ends an aborted stream as if it were complete.
    const wasAborted = this.stream.controller.signal.aborted;
    await this.call.settle(wasAborted ? 'left' : 'ended');
  }

  /** What the consumer of a stopped stream gets, once. */
  private stopError(): Error | undefined {
    const stopped = this.hasThrown ? undefined : this.call.stopped();
    this.hasThrown = true;
    return stopped && this.toSdkError(stopped);
  }

  private async drain(seconds: number): Promise<void> {
    const enough = setTimeout(() => this.stream.controller.abort(), seconds * 1000);
    try {
      for (;;) {
        const result = await this.pull();
        if (result.done) break;
        this.call.read(result.value);
      }
      await this.call.settle('drained');
    } catch (error) {
      await this.call.settle(isAbort(error) ? 'left' : 'failed');
    } finally {
      clearTimeout(enough);
    }
  }
}

class MeteredIterator<Event> implements AsyncIterator<Event> {
  /** @param _consumer kept alive by its iterator: a stream is dropped when neither is held any more */
  constructor(
    private readonly source: MeteredSource<Event>,
    readonly _consumer: object | undefined,
  ) {}

  next(): Promise<IteratorResult<Event>> {
    return this.source.next();
  }

  async return(): Promise<IteratorResult<Event>> {
    await this.source.leave();
    return { done: true, value: undefined };
  }
}
