/**
 * The laws of credits as a small model in memory, written from the laws and not from the SQL: one user, whole numbers,
 * one price. Times are seconds since the model began. Every operation answers what the service must answer.
 */
export const PRICE_PER_1K = 3;
export const LEASE_SECONDS = 900;
const DAY_SECONDS = 86_400;
export const MAXIMUM_AGE_SECONDS = DAY_SECONDS;

export interface Lot {
  id: number;
  remaining: number;
  expiresAt: number;
  isRevoked: boolean;
}

/** Credits of one lot that a session has and has not given back, in the order they were taken. */
interface Taken {
  lot: Lot;
  credits: number;
}

export interface Session {
  id: string;
  estimatedTokens: number;
  estimated: number;
  allocated: number;
  firstHold: number;
  remainingAfterHold: number;
  tokensGenerated: number;
  startedAt: number;
  leaseEndsAt: number;
  taken: Taken[];
  status: 'active' | 'completed' | 'failed';
  endReason: 'finalized' | 'aborted' | 'timeout' | null;
  finalTokens: number | null;
  used: number;
  uncollected: number;
  isLate: boolean;
  record: UsageRecord | null;
}

export interface UsageRecord {
  key: string;
  service: string;
  credits: number;
  uncollected: number;
  status: 'billed' | 'needs_review' | 'waived';
  /** One more with every correction and every decision. */
  version: number;
  isReviewed: boolean;
  /** What decisions have not taken of what they decided on; below 0, they took more. */
  letGo: number;
  session: Session | null;
  tokens: number;
}

export interface Decision {
  key: string;
  action: 'bill' | 'waive';
  credits: number | null;
  version: number;
  idempotencyKey: string | null;
}

export type Answer = Record<string, unknown> & { outcome: string };

export const cost = (tokens: number): number => Math.ceil((tokens * PRICE_PER_1K) / 1000);
export const withBuffer = (credits: number): number => Math.ceil((credits * 120) / 100);
const tokensFor = (credits: number): number =>
  Math.min(Math.floor((credits * 1000) / PRICE_PER_1K), 1_000_000_000);

export class CreditsModel {
  now = 0;
  lots: Lot[] = [];
  sessions = new Map<string, Session>();
  records = new Map<string, UsageRecord>();
  /** What was answered first under an idempotency key, and to what. */
  remembered = new Map<string, { request: string; answer: Answer }>();

  /** A copy that shares nothing, for trying another order of things. */
  clone(): CreditsModel {
    const copy = new CreditsModel();
    const { now, lots, sessions, records, remembered } = structuredClone({
      now: this.now,
      lots: this.lots,
      sessions: this.sessions,
      records: this.records,
      remembered: this.remembered,
    });
    return Object.assign(copy, { now, lots, sessions, records, remembered });
  }

  get available(): number {
    return this.liveLots().reduce((sum, { remaining }) => sum + remaining, 0);
  }

  get held(): number {
    return [...this.sessions.values()].reduce(
      (sum, { status, allocated }) => sum + (status === 'active' ? allocated : 0),
      0,
    );
  }

  allocate(id: number, credits: number, days: number): Answer {
    this.lots.push({ id, remaining: credits, expiresAt: this.now + days * DAY_SECONDS, isRevoked: false });
    return { outcome: 'ok', remainingCredits: credits };
  }

  deduct(credits: number): Answer {
    if (credits > this.available) return this.short(credits);
    this.take(credits);
    return { outcome: 'ok', totalCredits: this.available };
  }

  revoke(id: number): Answer {
    const lot = this.lots.find((one) => one.id === id) as Lot;
    lot.isRevoked = true;
    lot.remaining = 0;
    return { outcome: 'ok', remainingCredits: 0 };
  }

  hold(id: string, tokens: number): Answer {
    const known = this.sessions.get(id);
    if (known) {
      if (known.estimatedTokens !== tokens) return { outcome: 'conflict' };
      return known.status === 'active' ? started(known, 'repeated') : { outcome: 'already_ended' };
    }
    const estimated = cost(tokens);
    const allocated = withBuffer(estimated);
    if (allocated > this.available) {
      const most = Math.floor((this.available * 100) / 120);
      return { ...this.short(allocated), maxAffordableTokens: tokensFor(most) };
    }
    const taken = this.take(allocated);
    const session: Session = {
      id,
      estimatedTokens: tokens,
      estimated,
      allocated,
      firstHold: allocated,
      remainingAfterHold: this.available,
      tokensGenerated: 0,
      startedAt: this.now,
      leaseEndsAt: this.now + LEASE_SECONDS,
      taken,
      status: 'active',
      endReason: null,
      finalTokens: null,
      used: 0,
      uncollected: 0,
      isLate: false,
      record: null,
    };
    this.sessions.set(id, session);
    return started(session, 'created');
  }

  progress(id: string, tokens: number): Answer {
    const session = this.sessions.get(id);
    if (!session) return { outcome: 'session_not_found' };
    const endsAt = session.startedAt + MAXIMUM_AGE_SECONDS;
    if (session.status !== 'active' || endsAt <= this.now) return { outcome: 'already_ended' };
    session.tokensGenerated = Math.max(session.tokensGenerated, tokens);
    session.used = cost(session.tokensGenerated);
    session.leaseEndsAt = Math.min(this.now + LEASE_SECONDS, endsAt);
    const missing = withBuffer(session.used) - session.allocated;
    let grown = 0;
    if (missing > 0) {
      const step = Math.ceil((session.estimated * 20) / 100);
      grown = Math.min(this.available, Math.max(missing, step));
      session.taken.push(...this.take(grown));
      session.allocated += grown;
    }
    return {
      outcome: 'ok',
      tokensGenerated: session.tokensGenerated,
      usedCredits: session.used,
      allocatedCredits: session.allocated,
      shouldStop: missing > grown,
      maxAffordableTokens: tokensFor(session.allocated + this.available),
    };
  }

  finalize(id: string, tokens: number, success: boolean): Answer {
    const session = this.sessions.get(id);
    if (!session) return { outcome: 'session_not_found' };
    const status = success ? 'completed' : 'failed';
    if (session.endReason === 'finalized' && session.status === status && session.finalTokens === tokens) {
      return settled(session);
    }
    if (session.status !== 'active' && session.endReason !== 'timeout') return { outcome: 'already_ended' };
    session.isLate = session.status !== 'active' || session.leaseEndsAt <= this.now;
    return this.end(
      session,
      status,
      'finalized',
      tokens,
      success ? 'chat-streaming' : 'chat-streaming-failed',
    );
  }

  abort(id: string, tokens: number | null): Answer {
    const session = this.sessions.get(id);
    if (!session) return { outcome: 'session_not_found' };
    const generated = tokens ?? session.tokensGenerated;
    if (session.endReason === 'aborted' && session.finalTokens === generated) return settled(session);
    if (session.status !== 'active' && session.endReason !== 'timeout') return { outcome: 'already_ended' };
    session.isLate = session.status !== 'active' || session.leaseEndsAt <= this.now;
    return this.end(session, 'failed', 'aborted', generated, 'chat-streaming-aborted');
  }

  timeOut(id: string): Answer {
    const session = this.sessions.get(id);
    if (!session || session.status !== 'active' || session.leaseEndsAt > this.now)
      return { outcome: 'not_stale' };
    return this.end(session, 'failed', 'timeout', session.tokensGenerated, 'chat-streaming-timeout');
  }

  charge(
    key: string,
    tokens: number,
    billing: 'billed' | 'needs_review',
    onShort: 'reject' | 'review',
  ): Answer {
    const known = this.records.get(key);
    if (known)
      return known.tokens === tokens
        ? { outcome: 'ok', ...answerOf(known) }
        : { outcome: 'request_mismatch' };
    const credits = cost(tokens);
    let status = billing;
    if (status === 'billed' && credits > this.available) {
      if (onShort === 'reject') return this.short(credits);
      status = 'needs_review';
    }
    const uncollected = status === 'billed' ? 0 : credits;
    if (status === 'billed') this.take(credits);
    const record: UsageRecord = {
      key,
      service: 'chat',
      credits,
      uncollected,
      status,
      version: 1,
      isReviewed: false,
      letGo: 0,
      session: null,
      tokens,
    };
    this.records.set(key, record);
    return { outcome: 'ok', ...answerOf(record) };
  }

  /** A decision on what a record has open, in the version given: once for each version, and once for each key. */
  review({ key, action, credits, version, idempotencyKey }: Decision): Answer {
    const record = this.records.get(key);
    if (!record) return { outcome: 'usage_not_found' };
    const request = JSON.stringify({ key, action, credits, version });
    const before = idempotencyKey === null ? undefined : this.remembered.get(idempotencyKey);
    if (before) {
      return before.request === request
        ? { ...before.answer, replayed: true }
        : { outcome: 'idempotency_mismatch' };
    }
    if (record.status !== 'needs_review') {
      return { outcome: record.isReviewed ? 'already_reviewed' : 'not_in_review' };
    }
    if (record.version !== version) return { outcome: 'changed' };
    if (action === 'waive') {
      record.status = 'waived';
      record.letGo += record.uncollected;
    } else {
      const amount = credits ?? record.uncollected;
      if (amount > this.available) return this.short(amount);
      const taken = this.take(amount);
      record.session?.taken.push(...taken);
      record.letGo += record.uncollected - amount;
      record.credits += amount - record.uncollected;
      record.uncollected = 0;
      record.status = 'billed';
    }
    record.isReviewed = true;
    record.version++;
    const answer = { outcome: 'ok', ...answerOf(record) };
    if (idempotencyKey !== null) this.remembered.set(idempotencyKey, { request, answer });
    return answer;
  }

  advance(seconds: number): void {
    this.now += seconds;
  }

  liveLots(): Lot[] {
    return this.lots
      .filter(({ remaining, expiresAt, isRevoked }) => remaining > 0 && expiresAt > this.now && !isRevoked)
      .sort((a, b) => a.expiresAt - b.expiresAt || a.id - b.id);
  }

  /** First to expire, then oldest. */
  private take(credits: number): Taken[] {
    const taken: Taken[] = [];
    let left = credits;
    for (const lot of this.liveLots()) {
      if (left === 0) break;
      const part = Math.min(lot.remaining, left);
      lot.remaining -= part;
      left -= part;
      taken.push({ lot, credits: part });
    }
    return taken;
  }

  /** Last taken first, to the lots they came from; what returns to a lot that has expired or was revoked is gone. */
  private giveBack(session: Session, credits: number): void {
    let left = credits;
    while (left > 0) {
      const last = session.taken.at(-1) as Taken;
      const part = Math.min(last.credits, left);
      last.credits -= part;
      if (last.lot.expiresAt > this.now && !last.lot.isRevoked) last.lot.remaining += part;
      if (last.credits === 0) session.taken.pop();
      left -= part;
    }
  }

  /**
   * What was paid before is compared with what it cost; what cannot be collected is kept on the record. What
   * reviews have decided stays: what they let go is not asked for again, what they took on top is not given back.
   */
  private end(
    session: Session,
    status: 'completed' | 'failed',
    reason: 'finalized' | 'aborted' | 'timeout',
    tokens: number,
    service: string,
  ): Answer {
    const { record } = session;
    const paid = record === null ? session.allocated : record.credits - record.uncollected;
    const letGo = record?.letGo ?? 0;
    session.used = cost(tokens);
    session.status = status;
    session.endReason = reason;
    session.finalTokens = tokens;
    const least = session.used - letGo;
    const most = Math.max(session.used, least);
    const missing = Math.max(least - paid, 0);
    const charged = Math.min(missing, this.available);
    const returned = Math.max(paid - most, 0);
    if (returned > 0) this.giveBack(session, returned);
    else session.taken.push(...this.take(charged));
    session.uncollected = missing - charged;
    const settledCredits = paid + charged - returned;
    const isWaived = record?.status === 'waived' && session.uncollected === 0;
    const uncollected = isWaived ? Math.max(session.used - settledCredits, 0) : session.uncollected;
    const next: UsageRecord = {
      key: `session:${session.id}`,
      service,
      credits: settledCredits + uncollected,
      uncollected,
      status: session.uncollected > 0 ? 'needs_review' : uncollected > 0 ? 'waived' : 'billed',
      version: (record?.version ?? 0) + 1,
      isReviewed: record?.isReviewed ?? false,
      letGo,
      session,
      tokens,
    };
    session.record = next;
    this.records.set(next.key, next);
    return settled(session);
  }

  private short(required: number): Answer {
    return { outcome: 'insufficient', requiredCredits: required, availableCredits: this.available };
  }
}

function started(session: Session, outcome: string): Answer {
  return {
    outcome,
    estimatedCredits: session.estimated,
    allocatedCredits: session.firstHold,
    usedCredits: 0,
    remainingCredits: session.remainingAfterHold,
  };
}

function settled(session: Session): Answer {
  return {
    outcome: 'ok',
    status: session.status,
    actualCredits: session.used,
    refund: Math.max(session.allocated - session.used, 0),
    overage: Math.max(session.used - session.allocated, 0),
    uncollected: session.uncollected,
    late: session.isLate,
  };
}

function answerOf({ credits, uncollected, status, version }: UsageRecord) {
  return { credits, uncollectedCredits: uncollected, billingStatus: status, version };
}
