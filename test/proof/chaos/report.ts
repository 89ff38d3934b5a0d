import { isOfTheDatabase } from './faults.js';
import { isAcknowledged, isAnswered, isSurelyRefused } from './memory.js';
import type { ChaosResult } from './run.js';
import { REQUEST_LIMIT_MILLISECONDS } from './settings.js';

/** What a process may have grown by: its code gets compiled and its caches filled, whatever happens. */
const MEMORY_FACTOR = 2;
const MEMORY_MEGABYTES = 50;

/** What the service must not have done, beside what its answers and its books say. */
export function judgeService(result: ChaosResult): string[] {
  const { before, after, audit, crashes, internalErrors, faults, isAtRest } = result;
  const problems = [...crashes, ...internalErrors, ...faults.flatMap((fault) => fault.problems)];
  if (!audit.ok) problems.push(`the audit found ${JSON.stringify(audit.differences)}`);
  if (!isAtRest) problems.push(`connections did not come to rest: ${JSON.stringify(after)}`);
  after.memory.forEach((megabytes, index) => {
    const limit = (before.memory[index] as number) * MEMORY_FACTOR + MEMORY_MEGABYTES;
    if (megabytes > limit) problems.push(`instance ${index} holds ${megabytes} MB, not ${limit} MB at most`);
  });
  after.files.forEach((files, index) => {
    const limit = (before.files[index] as number) + result.settings.clients;
    if (files > limit) problems.push(`instance ${index} has ${files} files open, not ${limit} at most`);
  });
  return problems;
}

/** The figures of a run, one to a line. */
export function figures(result: ChaosResult): string[] {
  const { memory, faults, before, after, settings, audit } = result;
  const attempts = memory.flatMap((request) => request.attempts);
  const answered = attempts.filter(isAnswered);
  const lost = memory.filter((request) => request.attempts.some((attempt) => !isAnswered(attempt)));
  const repeated = memory.filter((request) => request.attempts.filter(isAnswered).length > 1);
  const recoveries = faults.flatMap(({ fault, recoveryMilliseconds }) =>
    isOfTheDatabase(fault) ? recoveryMilliseconds : [],
  );
  const longest = attempts.reduce((most, { milliseconds }) => Math.max(most, milliseconds), 0);
  const seconds = (milliseconds: number) => (milliseconds / 1000).toFixed(2);
  return [
    `seed ${settings.seed}, ${settings.clients} clients, ${result.seconds} s`,
    `faults: ${counted(faults.map(({ fault }) => fault.kind))}, migration ${result.killedMigrations}`,
    `requests: ${memory.length}, sendings: ${attempts.length} (${counted(attempts.map(({ status }) => String(status || 'lost')))})`,
    `acknowledged: ${memory.filter(isAcknowledged).length}, refused: ${memory.filter(isSurelyRefused).length}, ` +
      `left unanswered and sent again: ${lost.filter((request) => request.attempts.some(isAnswered)).length}, ` +
      `given up without an answer: ${lost.filter(({ abandoned }) => abandoned).length}, answered more than once: ${repeated.length}`,
    `longest request: ${seconds(longest)} s of ${seconds(REQUEST_LIMIT_MILLISECONDS)} s, answered ones ${counted(answered.map(({ milliseconds }) => (milliseconds < 100 ? '< 0.1 s' : milliseconds < 1000 ? '< 1 s' : 'longer')))}`,
    `recovery: ${recoveries.length} times, median ${seconds(median(recoveries))} s, longest ${seconds(Math.max(0, ...recoveries))} s`,
    `starts without a database: ${result.failedStarts.length}; faults the last processes outlived: ${result.outlived.join(' and ')}`,
    `memory MB ${before.memory.join(' and ')} → ${after.memory.join(' and ')}, open files ${before.files.join(' and ')} → ${after.files.join(' and ')}, ` +
      `connections ${before.connections} → ${after.connections}`,
    `audit: ${audit.ok ? 'clean' : 'NOT CLEAN'}, ${audit.usersChecked} users; ` +
      `${result.books.ledger.length} ledger entries, ${result.books.usage.length} usage records, ${result.books.sessions.length} sessions`,
  ];
}

function counted(names: string[]): string {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

const median = (numbers: number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
