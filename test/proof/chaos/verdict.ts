import { isDeepStrictEqual } from 'node:util';
import type { Books } from './books.js';
import { type Attempt, isAnswered, type Remembered, type Step } from './memory.js';
import { Reconciliation } from './reconciliation.js';
import { REQUEST_LIMIT_MILLISECONDS } from './settings.js';

/** What a step may be answered. A session that its lease has ended refuses everything but a late finalize with 409. */
const ALLOWED: Record<Step, number[]> = {
  allocate: [201],
  deduct: [200, 402],
  charge: [201, 200, 402],
  record: [201],
  initialize: [201, 200, 402, 409],
  progress: [200, 409],
  finalize: [200],
  abort: [200, 409],
  balance: [200],
};
/** Parts of an answer that depend on the moment: the lease, and what others have left of the balance. */
const OF_THE_MOMENT: Partial<Record<Step, string[]>> = {
  initialize: ['expiresAt'],
  progress: ['expiresAt', 'maxAffordableTokens', 'allocatedCredits', 'shouldStop', 'reason', 'limits'],
};

/** Everything that contradicts the promises, in words; nothing when all were kept. */
export function judge(memory: Remembered[], books: Books): string[] {
  return [...memory.flatMap(judgeAnswers), ...new Reconciliation(memory, books).differences()];
}

/** The answers to one request: allowed, in time, and all the same. */
function judgeAnswers(request: Remembered): string[] {
  const { step, key, attempts, abandoned } = request;
  const problems = attempts.flatMap((attempt) => judgeAttempt(step, attempt));
  if (!abandoned && !attempts.some(isAnswered)) problems.push('was never answered');
  if (step !== 'balance') {
    const answers = attempts.filter(({ status }) => status >= 200 && status < 300);
    const [first, ...others] = answers.map(({ body }) => withoutMoment(step, body));
    for (const other of others) {
      if (isDeepStrictEqual(first, other)) continue;
      problems.push(`has two answers: ${JSON.stringify(first)} and ${JSON.stringify(other)}`);
    }
  }
  return problems.map((problem) => `${step} ${key} ${problem}`);
}

function judgeAttempt(step: Step, { status, milliseconds, retryAfter, trouble, body }: Attempt): string[] {
  const problems: string[] = [];
  if (milliseconds > REQUEST_LIMIT_MILLISECONDS) problems.push(`took ${milliseconds} ms`);
  if (status === 0 && trouble !== 'no answer') problems.push(trouble);
  if (status === 503 && !(Number(retryAfter) >= 1)) problems.push('was a 503 without Retry-After');
  if (status !== 0 && status !== 503 && !ALLOWED[step].includes(status)) {
    problems.push(`was answered ${status} ${JSON.stringify(body)}`);
  }
  return problems;
}

function withoutMoment(step: Step, body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !OF_THE_MOMENT[step]?.includes(name)));
}
