import { isDeepStrictEqual } from 'node:util';
import type { Books } from './books.js';
import { answerOf, isAcknowledged, isSurelyRefused, type Remembered } from './memory.js';

type Session = Books['sessions'][number];

function groupBy<Item>(items: Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/** Holds what the clients remember against what the database has, in both directions. */
export class Reconciliation {
  private readonly byKey: Map<string, Remembered[]>;
  private readonly ledger: Map<string, Books['ledger']>;
  private readonly sessions: Map<string, Books['sessions']>;
  private readonly allocations: Map<string, Books['allocations']>;
  private readonly usage: Map<string, Books['usage']>;
  private readonly problems: string[] = [];

  constructor(memory: Remembered[], books: Books) {
    const causes = new Map(books.usage.map(({ id, requestId }) => [id, requestId]));
    this.byKey = groupBy(memory, ({ key }) => key);
    // A session's own entries, before those of the record that its end has made.
    this.ledger = groupBy(
      books.ledger,
      ({ sessionId, usageId, key }) =>
        sessionId ?? (usageId === null ? key : causes.get(usageId)) ?? 'unknown',
    );
    this.sessions = groupBy(books.sessions, ({ sessionId }) => sessionId);
    this.allocations = groupBy(books.allocations, ({ key }) => key);
    this.usage = groupBy(
      books.usage,
      (record) => record.requestId ?? record.sessionId ?? record.key ?? 'unknown',
    );
  }

  differences(): string[] {
    for (const [key, requests] of this.byKey) {
      const request = requests[0] as Remembered;
      switch (request.step) {
        case 'allocate':
          this.allocation(request);
          break;
        case 'deduct':
          this.deduction(request);
          break;
        case 'charge':
          this.charge(request);
          break;
        case 'record':
          this.record(request);
          break;
        case 'initialize':
          this.session(key, requests);
          break;
      }
    }
    for (const found of [this.ledger, this.sessions, this.allocations, this.usage]) {
      for (const [key, rows] of found) {
        if (!this.byKey.has(key)) this.problems.push(`${key} was never asked for: ${JSON.stringify(rows)}`);
      }
    }
    return this.problems;
  }

  /**
   * Acknowledged: once. Refused: not at all. Otherwise: once, or not at all.
   *
   * @returns whether it happened
   */
  private once(request: Remembered, times: number): boolean {
    const { step, key } = request;
    if (times > 1) this.problems.push(`${step} ${key} happened ${times} times`);
    if (times === 0 && isAcknowledged(request))
      this.problems.push(`${step} ${key} was acknowledged and is lost`);
    if (times > 0 && isSurelyRefused(request)) this.problems.push(`${step} ${key} was refused and happened`);
    return times > 0;
  }

  private equal(request: Remembered, what: string, found: unknown, expected: unknown): void {
    if (isDeepStrictEqual(found, expected)) return;
    this.problems.push(
      `${request.step} ${request.key}: ${what} is ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`,
    );
  }

  /** What left the user's lots, less what came back. */
  private spent(key: string): number {
    return (this.ledger.get(key) ?? []).reduce((total, { credits }) => total - credits, 0);
  }

  private allocation(request: Remembered): void {
    const { key, userId, body } = request;
    const lots = this.allocations.get(key) ?? [];
    const entries = this.ledger.get(key) ?? [];
    this.equal(request, 'number of entries', entries.length, lots.length);
    if (!this.once(request, lots.length)) return;
    this.equal(request, 'what came in', entries[0]?.credits, body.credits);
    const answer = answerOf(request) ?? {};
    const [lot] = lots;
    this.equal(request, 'the lot', lot, { id: answer.id ?? lot?.id, userId, credits: body.credits, key });
  }

  private deduction(request: Remembered): void {
    const spent = this.spent(request.key);
    // Over several lots it has several entries; together they are a multiple of what was asked.
    if (this.once(request, spent / Number(request.body.credits))) {
      this.equal(request, 'what was spent', spent, request.body.credits);
    }
  }

  private charge(request: Remembered): void {
    const { key } = request;
    const records = this.usage.get(key) ?? [];
    const [record] = records;
    this.equal(
      request,
      'what was spent',
      this.spent(key),
      sum(records.map((each) => each.credits - each.uncollected)),
    );
    if (!this.once(request, records.length)) return;
    const answered = (answerOf(request)?.record ?? {}) as Record<string, unknown>;
    if (!isAcknowledged(request)) return;
    this.equal(request, 'the record', [record?.id, record?.credits], [answered.id, answered.credits]);
  }

  private record(request: Remembered): void {
    const records = this.usage.get(request.key) ?? [];
    this.equal(request, 'what was spent', this.spent(request.key), 0);
    if (!this.once(request, records.length) || !isAcknowledged(request)) return;
    this.equal(request, 'the record', records[0]?.id, answerOf(request)?.id);
  }

  /** A session with all that was asked about it. */
  private session(key: string, requests: Remembered[]): void {
    const [start] = requests as [Remembered];
    const end = requests.find(({ step }) => step === 'finalize' || step === 'abort');
    const rows = this.sessions.get(key) ?? [];
    const records = this.usage.get(key) ?? [];
    if (!this.once(start, rows.length)) {
      this.equal(start, 'what was spent without a session', this.spent(key), 0);
      return;
    }
    const [row] = rows as [Session];
    const isActive = row.status === 'active';
    const paid = isActive ? row.allocated : row.used - row.uncollected;
    this.equal(start, 'what was spent', this.spent(key), paid);
    this.equal(
      start,
      'records of its end',
      records.map(({ id }) => id),
      isActive ? [] : [row.usageId],
    );
    if (!isActive) this.equal(start, 'recorded credits', records[0]?.credits, row.used);
    this.ending(start, end, row);
    this.progress(start, requests, row);
    const hasTimedOut = row.endReason === 'timeout' || row.isLate;
    for (const request of requests) {
      if (hasTimedOut || !request.attempts.some(({ status }) => status === 409)) continue;
      this.problems.push(`${request.step} ${key} was refused as ended, which it was not`);
    }
  }

  /** Tokens that were acknowledged are never forgotten, and none are there that were not reported. */
  private progress(start: Remembered, requests: Remembered[], row: Session): void {
    const reports = requests.filter(({ step }) => step === 'progress');
    const most = (of: Remembered[]) => Math.max(0, ...of.map(({ body }) => Number(body.tokensGenerated)));
    const [least, atMost] = [most(reports.filter(isAcknowledged)), most(reports)];
    if (row.generated >= least && row.generated <= atMost) return;
    this.problems.push(`${start.step} ${start.key}: tokens are ${row.generated}, not ${least} to ${atMost}`);
  }

  /** How a session ended: as its client was answered, or may have been, or by its lease. */
  private ending(start: Remembered, end: Remembered | undefined, row: Session): void {
    const wanted = end?.step === 'finalize' ? 'finalized' : 'aborted';
    const answer = end && answerOf(end);
    if (end !== undefined && answer !== undefined) {
      this.equal(
        end,
        'the end',
        [row.endReason, row.used],
        [wanted, answer.actualCredits ?? answer.partialCredits],
      );
    } else if (row.endReason !== null && row.endReason !== 'timeout') {
      const isPossible = end !== undefined && !isSurelyRefused(end);
      this.equal(start, 'an end that was asked for', row.endReason, isPossible ? wanted : 'none');
    }
  }
}
