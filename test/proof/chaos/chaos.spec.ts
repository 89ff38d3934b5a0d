import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Books } from './books.js';
import { type Attempt, isAcknowledged, isSurelyRefused, type Remembered, type Step } from './memory.js';
import { figures, judgeService } from './report.js';
import { type ChaosResult, runChaos } from './run.js';
import { chaosSettings } from './settings.js';
import { judge } from './verdict.js';

const settings = chaosSettings();
const LIMIT_MILLISECONDS = 180_000 + settings.kills * 60_000;

let directory: string;
let result: ChaosResult;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'accounting-chaos-'));
  console.log(`CHAOS_SEED=${settings.seed} CHAOS_KILLS=${settings.kills}`);
  result = await runChaos(directory, settings, console.log);
  console.log(figures(result).join('\n'));
}, LIMIT_MILLISECONDS);
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('instances, database and connections that fail at random moments', () => {
  it('leave every acknowledged movement there once, every other once or not at all, with one answer', () => {
    expect(judge(result.memory, result.books)).toEqual([]);
  });

  it('leave clean books and services that recover by themselves and keep nothing', () => {
    expect(judgeService(result)).toEqual([]);
  });
});

/** One request of this run that is as wanted; a copy, with what is around it. */
interface Specimen {
  memory: Remembered[];
  books: Books;
  request: Remembered;
  attempt: Attempt;
}

function specimen(step: Step, isWanted: (request: Remembered) => boolean): Specimen {
  const { memory, books } = structuredClone({ memory: result.memory, books: result.books });
  const request = memory.find((each) => each.step === step && isWanted(each));
  if (request === undefined) throw new Error(`The run had no such ${step}`);
  return { memory, books, request, attempt: request.attempts.at(-1) as Attempt };
}

describe('the verdict on the same run would have found', () => {
  it.each<[string, Step, (request: Remembered) => boolean, (found: Specimen) => void, RegExp]>([
    [
      'an acknowledged allocation that is lost',
      'allocate',
      isAcknowledged,
      ({ books, request }) => {
        books.allocations = books.allocations.filter(({ key }) => key !== request.key);
        books.ledger = books.ledger.filter(({ key }) => key !== request.key);
      },
      /^allocate \S+ was acknowledged and is lost$/,
    ],
    [
      'an allocation that was made twice',
      'allocate',
      isAcknowledged,
      ({ books, request }) => {
        books.allocations.push(...books.allocations.filter(({ key }) => key === request.key));
        books.ledger.push(...books.ledger.filter(({ key }) => key === request.key));
      },
      /^allocate \S+ happened 2 times$/,
    ],
    [
      'a lot without its entry',
      'allocate',
      isAcknowledged,
      ({ books, request }) => (books.ledger = books.ledger.filter(({ key }) => key !== request.key)),
      /^allocate \S+: number of entries is 0 instead of 1$/,
    ],
    [
      'a deduction that was made twice',
      'deduct',
      isAcknowledged,
      ({ books, request }) => books.ledger.push(...books.ledger.filter(({ key }) => key === request.key)),
      /^deduct \S+ happened 2 times$/,
    ],
    [
      'a deduction that was refused and happened',
      'deduct',
      isSurelyRefused,
      ({ books, request: { userId, key, body } }) =>
        books.ledger.push({
          ...{ userId, key, kind: 'deduction', credits: -Number(body.credits) },
          ...{ sessionId: null, usageId: null },
        }),
      /^deduct \S+ was refused and happened$/,
    ],
    [
      'a charge that took its credits twice',
      'charge',
      isBilled,
      ({ books, request }) => {
        const record = books.usage.find(({ requestId }) => requestId === request.key);
        books.ledger.push(...books.ledger.filter(({ usageId }) => usageId === record?.id));
      },
      /^charge \S+: what was spent is \d+ instead of \d+$/,
    ],
    [
      'a usage record that is there twice',
      'record',
      isAcknowledged,
      ({ books, request }) => books.usage.push(...books.usage.filter(({ key }) => key === request.key)),
      /^record \S+ happened 2 times$/,
    ],
    [
      'a session that paid other than its answer says',
      'finalize',
      isAcknowledged,
      ({ books, request }) => {
        for (const row of books.sessions) if (row.sessionId === request.key) row.used++;
      },
      /^finalize \S+: the end is \["finalized",\d+\] instead of \["finalized",\d+\]$/,
    ],
    [
      'reported tokens that are forgotten',
      'progress',
      isAcknowledged,
      ({ books, request }) => {
        for (const row of books.sessions) if (row.sessionId === request.key) row.generated = 0;
      },
      /^initialize \S+: tokens are 0, not \d+ to \d+$/,
    ],
    [
      'a session whose end was recorded twice',
      'abort',
      isAcknowledged,
      ({ books, request }) => {
        books.usage.push(...books.usage.filter(({ sessionId }) => sessionId === request.key));
      },
      /^initialize \S+: records of its end is \[\d+,\d+\] instead of \[\d+\]$/,
    ],
    [
      'what was never requested',
      'charge',
      isAcknowledged,
      ({ memory, request }) => memory.splice(memory.indexOf(request), 1),
      /^\S+ was never asked for: /,
    ],
    [
      'two different answers under one key',
      'allocate',
      isAcknowledged,
      ({ request, attempt }) => request.attempts.push({ ...attempt, body: { ...attempt.body, id: 0 } }),
      /^allocate \S+ has two answers: /,
    ],
    [
      'an internal error',
      'balance',
      isAcknowledged,
      ({ request, attempt }) => request.attempts.push({ ...attempt, status: 500 }),
      /^balance \S+ was answered 500 /,
    ],
    [
      'a 503 that does not say when to come again',
      'balance',
      isAcknowledged,
      ({ request, attempt }) => request.attempts.push({ ...attempt, status: 503, retryAfter: null }),
      /^balance \S+ was a 503 without Retry-After$/,
    ],
    [
      'a request that hung',
      'balance',
      isAcknowledged,
      ({ request, attempt }) => request.attempts.push({ ...attempt, milliseconds: 60_000 }),
      /^balance \S+ took 60000 ms$/,
    ],
    [
      'a request that never got an answer',
      'finalize',
      isAcknowledged,
      ({ request, attempt }) =>
        request.attempts.splice(0, Infinity, { ...attempt, status: 0, trouble: 'no answer' }),
      /^finalize \S+ was never answered$/,
    ],
  ])('%s', (_, step, isWanted, spoil, problem) => {
    const found = specimen(step, isWanted);
    spoil(found);
    expect(judge(found.memory, found.books)).toContainEqual(expect.stringMatching(problem));
  });
});

/** Whether a charge was acknowledged and took credits. */
function isBilled({ attempts }: Remembered): boolean {
  return attempts.some(({ body }) => {
    const record = body.record as { credits: number; billingStatus: string } | undefined;
    return record !== undefined && record.credits > 0 && record.billingStatus === 'billed';
  });
}
