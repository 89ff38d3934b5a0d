import { processorTime } from './processor-time.js';
import { readBooks, requireMoved } from './books.js';

/**
 * One server that is measured.
 *
 * @typedef {object} Target
 * @property {string} label
 * @property {import('./servers.js').Server} server
 *
 * What was seen of a target in all rounds.
 *
 * @typedef {object} Figures
 * @property {string} label
 * @property {number} rate requests a second, the median of the rounds
 * @property {[number, number]} spread of the rounds
 * @property {number[]} latencies p50, p95, p99 in milliseconds, each the median of the rounds
 * @property {number} [processor] microseconds of its processor time for each request
 * @property {number} generator microseconds of the load generator's processor time for each request
 *
 * @typedef {object} Cell
 * @property {import('./scenarios.js').Scenario} scenario
 * @property {string} mode separate or shared
 * @property {number} clients
 * @property {Figures[]} figures of each target, the service first and the floor second
 */

/** Ids that no two jobs share. */
let jobs = 0;

/** The generator is then as much of a limit as the server. */
const BUSY_GENERATOR = 0.9;
const HEAT_CLIENTS = 20;
/** Until its code is compiled, but no longer than some rounds on a slow machine. */
const HEAT_REQUESTS = 12_000;
const HEAT_ROUNDS = 3;

/**
 * Measures one scenario in every mode and with every number of clients, and then asks the database whether what was
 * answered has happened.
 *
 * @param {object} bench
 * @param {import('./options.js').Options} bench.options
 * @param {Target[]} bench.targets
 * @param {{ run(job: object): Promise<import('./load.js').Seen> }} bench.generator
 * @param {Record<string, import('./scenarios.js').Account[]>} bench.accounts
 * @param {string} bench.supervisorToken
 * @param {import('pg').Pool} bench.owner
 * @param {import('./scenarios.js').Scenario} scenario
 * @param {(cell: Cell) => void} onCell
 * @returns {Promise<number>} how many movements were answered, and found in the database
 */
export async function measureScenario(bench, scenario, onCell) {
  const { options, owner } = bench;
  const before = await readBooks(owner);
  const moved = {};
  const note = (seen) => {
    for (const [what, count] of Object.entries(seen.moved)) moved[what] = (moved[what] ?? 0) + count;
    return seen;
  };
  for (const target of bench.targets) {
    const heat = { scenario, mode: 'separate', clients: HEAT_CLIENTS, seconds: options.heatSeconds };
    for (let sent = 0, rounds = 0; sent < HEAT_REQUESTS && rounds < HEAT_ROUNDS; rounds++) {
      sent += note(await measureRound(bench, heat, target)).sent;
    }
  }
  for (const mode of options.modes) {
    // Reads of one account wait for no other: --quick leaves them out.
    if (options.isQuick && mode === 'shared' && !scenario.isMovement) continue;
    for (const clients of options.clients) {
      onCell(await measureCell(bench, { scenario, mode, clients, seconds: options.seconds }, note));
    }
  }
  await requireMoved(owner, before, moved);
  return Object.values(moved).reduce((sum, count) => sum + count, 0);
}

async function measureCell(bench, cell, note) {
  const { targets, options } = bench;
  const rounds = targets.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    // Each takes its turn to be first: who comes after another finds the database's caches as that one left them.
    for (let turn = 0; turn < targets.length; turn++) {
      const index = (turn + round) % targets.length;
      rounds[index].push(note(await measureRound(bench, cell, targets[index])));
    }
  }
  return { ...cell, figures: targets.map(({ label }, index) => figuresOf(label, rounds[index])) };
}

async function measureRound(bench, { scenario, mode, clients, seconds }, { label, server }) {
  const { generator, accounts, supervisorToken } = bench;
  const { warmUpSeconds } = bench.options;
  const started = processorTime(server.pid);
  const job = {
    id: `b${++jobs}`,
    scenario: scenario.name,
    port: server.port,
    clients,
    warmUpSeconds,
    seconds,
    accounts: accounts[mode],
    supervisorToken,
  };
  const seen = await generator.run(job).catch((error) => {
    throw new Error(
      `${scenario.name}, ${mode}, ${clients} clients, ${label}: ${error.message}\n${server.said?.() ?? ''}`,
    );
  });
  if (seen.requests === 0) throw new Error(`${label} answered nothing to ${scenario.name} in ${seconds} s`);
  if (seen.generatorLoad > BUSY_GENERATOR) {
    process.stderr.write(`The load generator itself was busy (${scenario.name}, ${clients} clients).\n`);
  }
  const used = started === undefined ? undefined : (processorTime(server.pid) ?? NaN) - started;
  return { ...seen, processor: used === undefined ? undefined : used / seen.sent };
}

function figuresOf(label, rounds) {
  const rates = rounds.map(({ requests, seconds }) => requests / seconds);
  const processor = rounds.map((round) => round.processor).filter((each) => each !== undefined);
  return {
    label,
    rate: median(rates),
    spread: [Math.min(...rates), Math.max(...rates)],
    latencies: [0, 1, 2].map((index) => median(rounds.map(({ latencies }) => latencies[index]))),
    processor: processor.length > 0 ? median(processor) : undefined,
    generator: median(rounds.map(({ generatorMicroseconds }) => generatorMicroseconds)),
  };
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
