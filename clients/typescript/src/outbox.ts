import type { Api, Headers, SettledAnswer } from './api.js';
import { AccountingError, AccountingUnavailable, LimitExceeded } from './errors.js';
import type { Settlement, Spool } from './spool.js';

const FIRST_RETRY_SECONDS = 0.5;
const LONGEST_RETRY_SECONDS = 5;
/** Settlements kept in memory at most, while the service does not answer. */
const MAXIMUM_KEPT = 10_000;

export type ReportError = (error: Error, settlement?: Settlement) => void;

interface Kept {
  settlement: Settlement;
  headers: () => Promise<Headers>;
}

/**
 * Sends settlements, each until the service has answered. The first attempt is made at once; what gets no answer is
 * repeated in order, from memory, and from the spool after the process has ended.
 */
export class Outbox {
  private readonly kept = new Map<string, Kept>();
  /** Credits of calls without a hold, by the settlement's id: under way, or not settled yet. */
  private readonly assumed = new Map<string, number>();
  private readonly sending = new Set<Promise<unknown>>();
  private timer: NodeJS.Timeout | undefined;
  private isReplaying = false;
  private retrySeconds = FIRST_RETRY_SECONDS;

  constructor(
    private readonly api: Api,
    private readonly spool: Spool | undefined,
    headers: () => Promise<Headers>,
    private readonly reportError: ReportError,
  ) {
    for (const settlement of spool?.unfinished() ?? []) {
      this.kept.set(settlement.id, { settlement, headers });
      this.assume(settlement);
    }
    if (this.kept.size > 0) this.replayAfter(0);
  }

  get assumedCredits(): number {
    return [...this.assumed.values()].reduce((sum, credits) => sum + credits, 0);
  }

  /** Writes down what a call without a hold owes if the process ends before it is settled. */
  async open(settlement: Settlement): Promise<void> {
    this.assume(settlement);
    try {
      await this.spool?.add(settlement);
    } catch (error) {
      this.assumed.delete(settlement.id);
      this.spool?.done(settlement.id);
      throw error;
    }
  }

  /**
   * @returns the service's answer, or undefined if it did not answer: the settlement is repeated until it does
   * @throws AccountingError if the service refuses it for good
   */
  settle(settlement: Settlement, headers: () => Promise<Headers>): Promise<SettledAnswer | undefined> {
    const sent = this.write(settlement).then(() => this.send({ settlement, headers }));
    const finished = sent.catch(() => undefined).finally(() => this.sending.delete(finished));
    this.sending.add(finished);
    return sent;
  }

  /** Resolves when no attempt is under way. What got no answer is still kept. */
  async idle(): Promise<void> {
    while (this.sending.size > 0) await Promise.all(this.sending);
  }

  get keptCount(): number {
    return this.kept.size;
  }

  close(): void {
    clearTimeout(this.timer);
    this.kept.clear();
    this.spool?.close();
  }

  private assume({ id, assumedCredits }: Settlement): void {
    if (assumedCredits !== undefined) this.assumed.set(id, assumedCredits);
  }

  private async write(settlement: Settlement): Promise<void> {
    // A full disk is no reason not to settle.
    await this.spool?.add(settlement).catch((error: Error) => this.reportError(error, settlement));
  }

  private async send(item: Kept): Promise<SettledAnswer | undefined> {
    const { settlement } = item;
    try {
      const answer = await this.attempt(item);
      this.done(settlement);
      return answer;
    } catch (error) {
      if (isTemporary(error)) {
        this.keep(item);
        return undefined;
      }
      this.done(settlement);
      this.spool?.reject(settlement, (error as Error).message);
      this.reportError(error as Error, settlement);
      throw error;
    }
  }

  private async attempt({ settlement, headers }: Kept): Promise<SettledAnswer | undefined> {
    const { route, body, charge } = settlement;
    try {
      return await this.api.call<SettledAnswer>(route, body, await headers());
    } catch (error) {
      if ((error as AccountingError).code !== 'session.not_found') throw error;
      // The service never held credits for it. The call has been made: what the account cannot pay waits for a review.
      return charge === undefined
        ? undefined
        : this.api.call<SettledAnswer>('charge', { ...charge, onInsufficient: 'review' }, await headers());
    }
  }

  private done({ id }: Settlement): void {
    this.kept.delete(id);
    this.assumed.delete(id);
    this.spool?.done(id);
  }

  private keep(item: Kept): void {
    this.kept.set(item.settlement.id, item);
    const oldest = this.kept.values().next().value as Kept;
    if (this.spool === undefined && this.kept.size > MAXIMUM_KEPT) {
      this.done(oldest.settlement);
      const message = `More than ${MAXIMUM_KEPT} settlements wait for the service: the oldest is left to its lease`;
      this.reportError(
        new AccountingError(message, { code: 'client.settlement_dropped' }),
        oldest.settlement,
      );
    }
    this.replayAfter(this.retrySeconds);
  }

  private replayAfter(seconds: number): void {
    if (this.timer !== undefined || this.isReplaying) return;
    // Half of it by chance, so that not all clients come back at once.
    const waited = seconds * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => void this.replay(), waited * 1000);
    // What waits in memory is worth a longer life of the process only while it drains.
    this.timer.unref();
  }

  private async replay(): Promise<void> {
    this.timer = undefined;
    this.isReplaying = true;
    for (const item of [...this.kept.values()]) {
      await this.send(item).catch(() => undefined);
      if (this.kept.get(item.settlement.id) === item) break;
      this.retrySeconds = FIRST_RETRY_SECONDS;
    }
    this.isReplaying = false;
    if (this.kept.size === 0) return;
    this.retrySeconds = Math.min(this.retrySeconds * 2, LONGEST_RETRY_SECONDS);
    this.replayAfter(this.retrySeconds);
  }
}

const isTemporary = (error: unknown) =>
  error instanceof AccountingUnavailable || error instanceof LimitExceeded;
