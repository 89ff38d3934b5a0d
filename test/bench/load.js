// The load generator, a process of its own: gets jobs as messages, one at a time, and answers each with what it saw.
import { performance } from 'node:perf_hooks';
import { Connection } from './connection.js';
import { SCENARIOS } from './scenarios.js';

/**
 * @typedef {object} Job
 * @property {string} id a part of every session and request id, so that no two jobs share one
 * @property {string} scenario
 * @property {number} port
 * @property {number} clients connections, each with one request under way
 * @property {number} warmUpSeconds
 * @property {number} seconds
 * @property {import('./scenarios.js').Account[]} accounts
 * @property {string} supervisorToken
 *
 * @typedef {object} Seen
 * @property {number} requests answered in the measured time
 * @property {number} sent in the whole job
 * @property {number} seconds
 * @property {number[]} latencies p50, p95 and p99 in milliseconds
 * @property {Record<string, number>} moved what the answers of the whole job must have put into the database
 * @property {number} generatorMicroseconds processor time of this process for each request
 * @property {number} generatorLoad share of one processor that this process used
 */

process.on('message', (job) => {
  run(job).then(
    (seen) => process.send({ seen }),
    (error) => process.send({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit());

/** @param {Job} job @returns {Promise<Seen>} */
async function run(job) {
  const scenario = SCENARIOS.find(({ name }) => name === job.scenario);
  const clients = Array.from({ length: job.clients }, (_, index) => new Client(job, scenario, index));
  try {
    if (scenario.prepare) await Promise.all(clients.map((client) => client.prepare(scenario.prepare)));
    const begin = performance.now() + job.warmUpSeconds * 1000;
    const end = begin + job.seconds * 1000;
    let processor;
    const starting = setTimeout(() => (processor = process.cpuUsage()), job.warmUpSeconds * 1000);
    await Promise.all(clients.map((client) => client.drive(begin, end)));
    clearTimeout(starting);
    const { user, system } = process.cpuUsage(processor);
    return summary(clients, job.seconds, user + system);
  } finally {
    for (const client of clients) client.connection.close();
  }
}

function summary(clients, seconds, generatorMicroseconds) {
  const latencies = Float64Array.from(clients.flatMap((client) => client.latencies)).sort();
  const moved = {};
  for (const client of clients) {
    for (const [what, count] of client.moved) moved[what] = (moved[what] ?? 0) + count;
  }
  const quantile = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
  return {
    requests: latencies.length,
    sent: clients.reduce((sum, client) => sum + client.sent, 0),
    seconds,
    latencies: [quantile(0.5), quantile(0.95), quantile(0.99)],
    moved,
    generatorMicroseconds: generatorMicroseconds / latencies.length,
    generatorLoad: generatorMicroseconds / (seconds * 1e6),
  };
}

/** One connection, and what it sends. */
class Client {
  constructor(job, scenario, index) {
    this.job = job;
    this.steps = scenario.steps;
    this.index = index;
    this.turnsBegun = 0;
    this.sent = 0;
    /** Turns that are used again; empty when each is new. */
    this.turns = [];
    this.latencies = [];
    this.moved = new Map();
    this.fail = () => undefined;
    this.connection = new Connection(
      job.port,
      (status, body) => this.answered(status, body),
      (error) => this.fail(error),
    );
  }

  /** Makes this connection's own turns, so that no two connections report for one session. */
  async prepare(step) {
    const { accounts, clients } = this.job;
    while (this.turns.length * clients + this.index < Math.max(accounts.length, clients)) {
      const turn = this.newTurn();
      await this.exchange(step, turn);
      turn.requests = 0;
      this.turns.push(turn);
    }
  }

  /** Sends until `end`; resolves when the last answer is here, so that every request is counted. */
  async drive(begin, end) {
    for (;;) {
      const turn = this.turns.length > 0 ? this.turns[this.turnsBegun++ % this.turns.length] : this.newTurn();
      for (const step of this.steps) {
        const sent = performance.now();
        if (sent >= end) return;
        await this.exchange(step, turn);
        const received = performance.now();
        if (received >= begin && received <= end) this.latencies.push(received - sent);
      }
    }
  }

  newTurn() {
    const { id, accounts, clients } = this.job;
    const number = this.index + this.turnsBegun++ * clients;
    return { id: `${id}-${number}`, account: accounts[number % accounts.length], requests: 0 };
  }

  /** @returns {Promise<void>} rejects when the answer is another than it must be */
  exchange(step, turn) {
    return new Promise((done, fail) => {
      this.step = step;
      this.done = done;
      this.fail = fail;
      this.connection.send(render(step, turn, this.job));
      turn.requests++;
      this.sent++;
    });
  }

  answered(status, body) {
    const { step } = this;
    if (status !== step.status) {
      return this.fail(new Error(`${step.method} ${step.path} answered ${status}: ${body()}`));
    }
    for (const what in step.moves) this.moved.set(what, (this.moved.get(what) ?? 0) + step.moves[what]);
    this.done();
  }
}

/** Everything of a request but its body, by its token. */
const heads = new Map();

function render(step, turn, job) {
  const token = step.caller === 'supervisor' ? job.supervisorToken : turn.account.token;
  let known = heads.get(step);
  if (known === undefined) heads.set(step, (known = new Map()));
  let head = known.get(token);
  if (head === undefined) {
    head = `${step.method} ${step.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n`;
    known.set(token, head);
  }
  if (step.body === undefined) return `${head}\r\n`;
  const body = JSON.stringify(step.body(turn));
  return `${head}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
