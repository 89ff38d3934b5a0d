import { randomUUID } from 'node:crypto';
import { Api, type Headers, type HoldAnswer, type ProgressAnswer } from './api.js';
import { AccountingUnavailable, CreditsExhausted, misuse } from './errors.js';
import { Outbox, type ReportError } from './outbox.js';
import { type CallUsage, type ProgressOptions, Session, type SessionPort } from './session.js';
import { type Settlement, Spool } from './spool.js';

/** Who calls, and who pays. */
export interface Caller {
  /** The user's access token, or what returns it when a request is made. */
  token?: string | (() => string | Promise<string>);
  /** Required from a trusted service that does not forward a token. */
  userId?: string;
  /** The account that pays: an organisation of the user. Default: the user's personal account. */
  accountId?: string;
  /** At most 10; budgets can be made for a tag. */
  tags?: Record<string, string>;
}

/** What happens when the consumer leaves a stream before its end: the provider bills what it has generated. */
export type OnLeave =
  /** Settle with an estimate from what was seen. */
  | 'estimate'
  /** Read on in the background, for `drainSeconds` at most, to get the usage. */
  | 'drain';

export interface FailOpenOptions {
  /** Calls are let through without a hold while the credits assumed for all of them are below this. */
  maxCredits: number;
  /** A file of this process, for settlements that the service has not answered. */
  spool: string;
  /** Credits assumed for a call of a model of which no hold is known. Default 10. */
  creditsPerCall?: number;
}

export interface AccountingOptions extends Caller {
  /** Of the accounting service, such as `http://localhost:3001`. */
  baseUrl: string;
  /** Of a trusted service. */
  internalApiKey?: string;
  /** Of a user. */
  apiKey?: string;
  /** For each request to the service. Default 5. */
  timeoutSeconds?: number;
  /** A call is refused if its credits pay for fewer output tokens. Default 16. */
  minOutputTokens?: number;
  /** Declared for a call that names no maximum. Default 4096. */
  maxOutputTokens?: number;
  /** Default: every 200 tokens or 5 seconds. */
  progress?: Partial<ProgressOptions>;
  /** By provider; default `estimate`. */
  onLeave?: Partial<Record<string, OnLeave>>;
  /** Default 10. */
  drainSeconds?: number;
  /** Default: calls fail while the service does not answer. */
  failOpen?: FailOpenOptions;
  /** For what has no caller to throw to: refused settlements and reports. Default: `console.error`. */
  onError?: ReportError;
}

export interface SessionRequest {
  modelId: string;
  inputTokens: number;
  /** The most that the call may generate. Default: `maxOutputTokens` of the connection. */
  maxOutputTokens?: number;
  /** Default: of the connection. */
  minOutputTokens?: number;
  /** Default: made up. */
  sessionId?: string;
  /** Besides those of the connection. */
  tags?: Record<string, string>;
}

/** What a call is taken to generate at most if it names no maximum, and what it must be able to. */
export const DEFAULT_OUTPUT_TOKENS = 4096;
export const MINIMUM_OUTPUT_TOKENS = 16;
/** A hold is tried again with what the service says the credits pay for; others may spend them in between. */
const MAXIMUM_HOLDS = 3;
/** Of the time that a drain has, for the settlements of calls that did not end by themselves. */
const SETTLE_SHARE = 0.3;

/** What all connections made by `for` share. */
interface Shared {
  options: AccountingOptions;
  progress: ProgressOptions;
  api: Api;
  outbox: Outbox;
  reportError: ReportError;
  /** Sessions that are not settled, with what ends each at once. */
  open: Map<string, () => Promise<unknown>>;
  /** The latest hold of each model: credits for each token that was declared. */
  creditsPerToken: Map<string, number>;
}

/** A connection to the accounting service for one caller. */
export class Accounting {
  private readonly shared: Shared;
  private readonly caller: Caller;

  /** @throws AccountingError `client.…` for options that contradict each other, or a spool that another process uses */
  constructor(options: AccountingOptions) {
    const { internalApiKey, apiKey, token, userId, accountId, tags, failOpen } = options;
    if (!internalApiKey && !apiKey && !token)
      throw misuse('credentials', 'internalApiKey, apiKey or token is required');
    if (failOpen && !internalApiKey && !apiKey)
      throw misuse(
        'fail_open',
        'failOpen needs internalApiKey or apiKey: a token may have expired when the service is back',
      );
    const reportError = options.onError ?? ((error) => console.error(error));
    const api = new Api(options.baseUrl, options.timeoutSeconds ?? 5);
    const spool = failOpen && new Spool(failOpen.spool);
    this.caller = { token, userId, accountId, tags };
    this.shared = {
      options,
      progress: { everyTokens: 200, everySeconds: 5, ...options.progress },
      api,
      outbox: new Outbox(api, spool, () => Promise.resolve(this.keys()), reportError),
      reportError,
      open: new Map(),
      creditsPerToken: new Map(),
    };
  }

  /**
   * The same connection for another caller or payer. It costs nothing: make one for each request.
   *
   * A `userId` or `token` replaces the caller before, with the token, account and tags that were theirs. Otherwise, and where
   * there was no caller before, what is not given stays.
   */
  for(caller: Caller): Accounting {
    const { tags, ...rest } = caller;
    const scoped = Object.create(Accounting.prototype) as Accounting;
    const hadCaller = this.caller.userId !== undefined || this.caller.token !== undefined;
    const kept = hadCaller && ('userId' in caller || 'token' in caller) ? {} : this.caller;
    const merged: Caller = { ...kept, ...rest, tags: { ...kept.tags, ...tags } };
    return Object.assign(scoped, { shared: this.shared, caller: merged } as object);
  }

  get options(): Readonly<AccountingOptions> {
    return this.shared.options;
  }

  /**
   * Holds credits for a call to a model.
   *
   * @throws CreditsExhausted if they pay for fewer than `minOutputTokens` output tokens
   * @throws LimitExceeded, AccountingUnavailable
   * @throws AccountingError for a session id in use with other content, a model without a price, a wrong key …
   */
  async session(request: SessionRequest): Promise<Session> {
    const id = request.sessionId ?? randomUUID();
    const maxOutputTokens = request.maxOutputTokens ?? this.options.maxOutputTokens ?? DEFAULT_OUTPUT_TOKENS;
    const tags = { ...this.caller.tags, ...request.tags };
    const body = {
      sessionId: id,
      modelId: request.modelId,
      inputTokens: request.inputTokens,
      tags: Object.keys(tags).length > 0 ? tags : undefined,
      userId: this.caller.userId,
      accountId: this.caller.accountId,
    };
    const least = Math.min(
      request.minOutputTokens ?? this.options.minOutputTokens ?? MINIMUM_OUTPUT_TOKENS,
      maxOutputTokens,
    );
    let held: HoldAnswer;
    try {
      held = await this.hold(body, maxOutputTokens, least);
    } catch (error) {
      if (!(error instanceof AccountingUnavailable)) throw error;
      return this.letThrough(body, maxOutputTokens, error);
    }
    const key = `${held.userId} ${id}`;
    if (this.shared.open.has(key))
      throw misuse('session_open', `Session ${id} is already under way in this process`);
    this.shared.creditsPerToken.set(
      body.modelId,
      held.allocatedCredits / Math.max(body.inputTokens + maxOutputTokens, 1),
    );
    const session = this.start(body, maxOutputTokens, held, key);
    if (session.maxOutputTokens >= least) return session;
    await session.abort(0);
    const details = {
      status: 402,
      code: 'credits.insufficient',
      maxAffordableTokens: session.maxOutputTokens,
    };
    throw new CreditsExhausted('Insufficient credits', details);
  }

  /** Resolves when every settlement under way is answered, or is kept for a repetition. For `waitUntil` and tests. */
  settled(): Promise<void> {
    return this.shared.outbox.idle();
  }

  /**
   * Waits for open sessions to end, and settles those that do not with what they have generated.
   *
   * @returns whether everything is settled
   */
  async drain({ seconds = 10 } = {}): Promise<boolean> {
    const { open, outbox } = this.shared;
    const deadline = performance.now() + seconds * 1000;
    const cutAt = deadline - seconds * 1000 * SETTLE_SHARE;
    while (open.size > 0 && performance.now() < cutAt) await pause(20);
    for (const end of open.values()) void end().catch(() => undefined);
    while ((open.size > 0 || outbox.keptCount > 0) && performance.now() < deadline) await pause(20);
    await Promise.race([outbox.idle(), pause(Math.max(deadline - performance.now(), 0))]);
    return open.size === 0 && outbox.keptCount === 0;
  }

  /**
   * On SIGTERM: drains, then ends the process by that signal, unless the program has a handler of its own.
   *
   * @returns what removes the handler
   */
  drainOnExit({ seconds = 10 } = {}): () => void {
    const onSignal = () => {
      void this.drain({ seconds }).finally(() => {
        process.off('SIGTERM', onSignal);
        if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
      });
    };
    process.on('SIGTERM', onSignal);
    return () => process.off('SIGTERM', onSignal);
  }

  /** Releases the spool. Settlements that the service has not answered stay in it. */
  close(): void {
    this.shared.outbox.close();
  }

  /** For what has no caller to throw to. */
  reportError(error: Error): void {
    this.shared.reportError(error);
  }

  /** Sets what ends a session at once, instead of `abort`. */
  onExit(session: Session, end: () => Promise<unknown>): void {
    const key = `${session.held?.userId} ${session.id}`;
    if (this.shared.open.has(key)) this.shared.open.set(key, end);
  }

  private async hold(
    body: { sessionId: string },
    maxOutputTokens: number,
    least: number,
  ): Promise<HoldAnswer> {
    const headers = await this.headers();
    let declared = maxOutputTokens;
    for (let holds = 1; ; holds++) {
      try {
        return await this.shared.api.call<HoldAnswer>(
          'hold',
          { ...body, maxOutputTokens: declared },
          headers,
        );
      } catch (error) {
        if (!this.options.failOpen) this.release(body, error);
        const affordable = error instanceof CreditsExhausted ? error.maxAffordableTokens : undefined;
        const canAfford = affordable !== undefined && affordable >= least && affordable < declared;
        if (!canAfford || holds === MAXIMUM_HOLDS) throw error;
        declared = affordable;
      }
    }
  }

  /** Of a call that is not made. After a time-out the service may have held for it: that returns as soon as it answers. */
  private release({ sessionId }: { sessionId: string }, error: unknown): void {
    if ((error as { cause?: Error }).cause?.name !== 'TimeoutError') return;
    const { userId, accountId } = this.caller;
    const body = { sessionId, userId, accountId, tokensGenerated: 0 };
    const settlement: Settlement = { id: settlementId(body), route: 'abort', body };
    void this.shared.outbox.settle(settlement, () => this.headers()).catch(() => undefined);
  }

  private async letThrough(
    body: SessionBody,
    maxOutputTokens: number,
    cause: AccountingUnavailable,
  ): Promise<Session> {
    const { failOpen } = this.options;
    // Who a token names, only the service can verify: a forged one must not spend a stranger's credits.
    const isVerified = body.userId !== undefined || this.keys()['X-API-Key'] !== undefined;
    if (failOpen === undefined || !isVerified) throw cause;
    const { outbox, creditsPerToken } = this.shared;
    const perToken = creditsPerToken.get(body.modelId);
    const tokens = body.inputTokens + maxOutputTokens;
    const assumedCredits =
      perToken === undefined ? (failOpen.creditsPerCall ?? 10) : Math.ceil(perToken * tokens);
    if (outbox.assumedCredits + assumedCredits > failOpen.maxCredits) {
      this.release(body, cause);
      throw cause;
    }
    const opening = {
      inputTokens: body.inputTokens,
      outputTokens: 0,
      success: false,
      usageSource: 'estimated' as const,
    };
    await outbox.open(settlementOf('finalize', opening, body, assumedCredits)).catch((error: Error) => {
      throw new AccountingUnavailable(
        'The spool cannot be written',
        { status: 503, code: 'client.spool' },
        { cause: error },
      );
    });
    return this.start(body, maxOutputTokens, undefined, `undefined ${body.sessionId}`, assumedCredits);
  }

  private start(
    body: SessionBody,
    maxOutputTokens: number,
    held: HoldAnswer | undefined,
    key: string,
    assumedCredits?: number,
  ): Session {
    const { api, outbox, open, progress, reportError } = this.shared;
    // A trusted service settles by the user's id: the token may have expired when the stream ends.
    const isTrusted = this.options.internalApiKey !== undefined;
    const payer = isTrusted ? { ...body, userId: held?.userId ?? body.userId } : body;
    const headers = () => (isTrusted ? Promise.resolve(this.keys()) : this.headers());
    const { sessionId, userId, accountId } = payer;
    const port: SessionPort = {
      progress: async (tokensGenerated) =>
        api.call<ProgressAnswer>(
          'progress',
          { sessionId, userId, accountId, tokensGenerated },
          await headers(),
        ),
      settle: (route, usage) => outbox.settle(settlementOf(route, usage, payer, assumedCredits), headers),
      reportError: (error) => reportError(error),
      ended: () => open.delete(key),
    };
    const session = new Session(
      sessionId,
      body.modelId,
      body.inputTokens,
      maxOutputTokens,
      held,
      progress,
      port,
    );
    open.set(key, () => session.abort());
    return session;
  }

  private keys(): Headers {
    const { internalApiKey, apiKey } = this.options;
    return {
      ...(internalApiKey === undefined ? {} : { 'X-Internal-API-Key': internalApiKey }),
      ...(apiKey === undefined ? {} : { 'X-API-Key': apiKey }),
    };
  }

  private async headers(): Promise<Headers> {
    const token = await this.token();
    return { ...this.keys(), ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
  }

  private async token(): Promise<string | undefined> {
    const { token } = this.caller;
    return typeof token === 'function' ? token() : token;
  }
}

interface SessionBody {
  sessionId: string;
  modelId: string;
  inputTokens: number;
  tags?: Record<string, string> | undefined;
  userId?: string | undefined;
  accountId?: string | undefined;
}

/** Another user may have a session of the same id. */
function settlementId({
  accountId,
  userId,
  sessionId,
}: Pick<SessionBody, 'accountId' | 'userId' | 'sessionId'>): string {
  return JSON.stringify([accountId, userId, sessionId]);
}

/** A settlement, and the charge in its place if the service has no session of that id. */
function settlementOf(
  route: 'finalize' | 'abort',
  usage: CallUsage & { tokensGenerated?: number },
  { sessionId, modelId, inputTokens, tags, userId, accountId }: SessionBody,
  assumedCredits?: number,
): Settlement {
  const { success: _, tokensGenerated, ...used } = usage;
  const estimated = { inputTokens, outputTokens: tokensGenerated, usageSource: 'estimated' as const };
  const isFree = route === 'abort' && !tokensGenerated;
  const call = { requestId: sessionId, modelId, tags, userId, accountId };
  return {
    id: settlementId({ accountId, userId, sessionId }),
    route,
    body: { sessionId, userId, accountId, ...usage },
    charge: isFree ? undefined : { ...call, ...(route === 'abort' ? estimated : used) },
    assumedCredits,
  };
}

const pause = (milliseconds: number) => new Promise((done) => setTimeout(done, milliseconds));
