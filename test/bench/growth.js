import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ask, tokenOf } from './accounts.js';
import { onEnd, runToEnd } from './cleanup.js';
import { Connection } from './connection.js';
import { ACCOUNT_OPERATIONS, OPERATIONS, UNLIMITED } from './growth-operations.js';
import { median } from './measurement.js';
import { HEAVY, seed, userId } from './seed-data.js';
import { SECRET, startDatabase, startService } from './servers.js';

const USAGE = `Times each operation on a small database and on the big one that npm run bench:seed has made, in turn.
Ends with 1 when one is more than twice as slow on the big one.

  npm run bench:growth -- [options]

  --dir DIRECTORY   the big database (default .data/bench-growth)
  --records N       of the small one, which is made for the run (default 10000)
  --users N         asked in turn (default 100)
  --dist DIRECTORY  the built service (default dist)
`;
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const LIMIT = 2;
/** How much more memory the second half of an export may need than the first. */
const EXPORT_LIMIT = 1.25;
const MEMORY_INTERVAL_MILLISECONDS = 100;
const COUNTS = `SELECT (SELECT count(*) FROM user_accounts WHERE user_id LIKE 'seed-%') AS users,
                       (SELECT count(*) FROM usage_records) AS records,
                       EXISTS (SELECT FROM user_accounts WHERE user_id = $1) AS has_heavy`;

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: '.data/bench-growth' },
    records: { type: 'string', default: '10000' },
    users: { type: 'string', default: '100' },
    dist: { type: 'string', default: DIST },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
/** No two requests of all runs on a database have one id. */
const RUN = `growth-${Date.now().toString(36)}`;
let nextId = 0;

if (values.help) process.stdout.write(USAGE);
else await runToEnd(run);

/** @returns {Promise<boolean>} whether everything stays within its limit */
async function run() {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-growth-'));
  onEnd(() => rm(directory, { recursive: true, force: true }));
  const small = await startSide(join(directory, 'postgres'), (owner) => seed(owner, Number(values.records)));
  const big = await startSide(values.dir);
  process.stdout.write(
    `${big.users} users and ${big.records} records against ${small.users} and ${small.records}\n`,
  );
  const [smallTimes, bigTimes] = await compare(
    [small, big].map((side) => ({ side, users: usersOf(side) })),
    OPERATIONS,
  );
  let isWithin = show('The database grows', smallTimes, bigTimes);
  if (!big.hasHeavy) return isWithin;
  const fresh = await freshUser(big);
  for (const [what, heavy] of [
    ['An account with 10,000 lots', HEAVY.lots],
    ['An account with 100,000 ended sessions', HEAVY.sessions],
  ]) {
    const heavyUser = { userId: heavy, token: tokenOf(heavy) };
    const [freshTimes, heavyTimes] = await compare(
      [fresh, heavyUser].map((user) => ({ side: big, users: usersOf(big).map(() => user) })),
      ACCOUNT_OPERATIONS,
    );
    isWithin = show(`${what} against a fresh one`, freshTimes, heavyTimes) && isWithin;
  }
  return (await exportRecords(big)) && isWithin;
}

async function startSide(directory, fill) {
  const database = await startDatabase(values.dist, directory);
  onEnd(() => database.stop());
  await fill?.(database.owner);
  await closeDays(database.owner);
  const { rows } = await database.owner.query(COUNTS, [HEAVY.lots]);
  const users = Number(rows[0].users);
  if (users === 0) throw new Error(`${directory} has no seed: run npm run bench:seed first`);
  // The sweeper runs when it is called, and no growth is due to the metrics of another.
  const service = await startService(values.dist, database.url, { SWEEP_INTERVAL_SECONDS: '0' });
  onEnd(() => service.stop());
  const adminToken = tokenOf('growth-admin', 'admin');
  return {
    ...service,
    owner: database.owner,
    users,
    records: Number(rows[0].records),
    hasHeavy: rows[0].has_heavy,
    adminToken,
    timed: clientOf(service.port),
    ...(await sweepersOf(database.url)),
  };
}

/** What the sweeper of a service that has run all the time has done long ago. */
async function closeDays(owner) {
  const begun = Date.now();
  let days = -1;
  for (let isMore = true; isMore; days++) {
    isMore = (await owner.query('SELECT usage_close_day() AS done')).rows[0].done;
  }
  process.stdout.write(`${days} days closed in ${((Date.now() - begun) / 1000).toFixed(1)} s
`);
}

/** The service's own sweepers, on a pool of their own. */
async function sweepersOf(url) {
  const load = (file) => import(pathToFileURL(join(values.dist, file)).href);
  const { createApp } = await load('src/app.setup.js');
  const { loadConfig } = await load('src/config/env.js');
  const { StreamingSessionsSweeper } = await load('src/streaming-sessions/streaming-sessions.sweeper.js');
  const { UsageTotalsSweeper } = await load('src/usage/usage-totals.sweeper.js');
  const env = {
    NODE_ENV: 'test',
    DATABASE_URL: url,
    JWT_ACCESS_SECRET: SECRET,
    SWEEP_INTERVAL_SECONDS: '0',
    DB_POOL_SIZE: '2',
    LOG_LEVEL: 'error',
  };
  const app = await createApp(loadConfig(env), url);
  onEnd(() => app.close());
  const [sessions, totals] = [StreamingSessionsSweeper, UsageTotalsSweeper].map((sweeper) =>
    app.get(sweeper, { strict: false }),
  );
  return { sweep: () => sessions.sweep(), sweepTotals: () => totals.sweep() };
}

/** Spread over the whole table, as many as asked for or as there are. */
function usersOf({ users }) {
  const count = Math.min(Number(values.users), users);
  return Array.from({ length: count }, (_, index) => {
    const user = userId(1 + Math.floor((index * users) / count));
    return { userId: user, token: tokenOf(user) };
  });
}

async function freshUser({ port, adminToken }) {
  const user = `${RUN}-fresh`;
  const account = { userId: user, email: `${user}@example.com`, username: user, credits: 1_000_000 };
  await ask(port, 'POST', '/api/credits/allocate', adminToken, account);
  return { userId: user, token: tokenOf(user) };
}

/** One kept-alive connection; its requests wait for each other. */
function clientOf(port) {
  let settle;
  let connection;
  const open = () =>
    new Connection(
      port,
      (status, body) => settle.done({ status, body }),
      (error) => settle.fail(error),
    );
  onEnd(() => Promise.resolve(connection?.close()));
  return async ({ method, path, token, body, status: wanted = 200 }) => {
    const head = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n`;
    const content = body === undefined ? '' : JSON.stringify(body);
    const type =
      body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${content.length}\r\n`;
    const begun = performance.now();
    const answer = await new Promise((done, fail) => {
      settle = { done, fail };
      // Opened when there is something to ask: the service hangs up on who says nothing.
      connection ??= open();
      connection.send(`${head}${type}\r\n${content}`);
    });
    const milliseconds = performance.now() - begun;
    // The service has given up on its database: as slow as can be.
    if (answer.status === 503) return Infinity;
    if (answer.status !== wanted) {
      throw new Error(`${method} ${path} answered ${answer.status}: ${answer.body()}`);
    }
    return milliseconds;
  };
}

/**
 * Times the operations on all sides in turn, so that what else the machine does falls on each of them.
 *
 * @param {{ side: any, users: { userId: string, token: string }[] }[]} sides
 * @param {import('./growth-operations.js').Operation[]} operations
 * @returns {Promise<Map<string, number[]>[]>} milliseconds by the operation's name, for each side
 */
async function compare(sides, operations) {
  const times = sides.map(() => new Map());
  for (const { passes, run: operation } of operations) {
    const warmUp = Math.ceil(Math.min(1, passes) * sides[0].users.length);
    const measured = Math.ceil(passes * sides[0].users.length);
    let hasGivenUp = false;
    for (let index = 0; index < warmUp + measured && !hasGivenUp; index++) {
      for (const [which, { side, users }] of sides.entries()) {
        const parts = await operation(side, users[index % users.length], `${RUN}-${nextId++}`);
        for (const [name, milliseconds] of Object.entries(parts)) {
          if (!times[which].has(name)) times[which].set(name, []);
          if (milliseconds === Infinity) hasGivenUp = true;
          if (index >= warmUp || hasGivenUp) times[which].get(name).push(milliseconds);
        }
      }
    }
  }
  return times;
}

/** @returns {boolean} whether nothing on the right is slower than the limit allows */
function show(title, left, right) {
  process.stdout.write(`\n${title}\n`);
  let isWithin = true;
  for (const [name, times] of left) {
    // What was given up while it was warmed up has no time on the other side.
    const [before, after] = [median(times.length > 0 ? times : [NaN]), median(right.get(name))];
    const ratio = after / before;
    const isTooSlow = !(ratio <= LIMIT) && !UNLIMITED.has(name);
    if (isTooSlow) isWithin = false;
    process.stdout.write(
      `  ${name.padEnd(28)} ${before.toFixed(2).padStart(9)} ms ${after.toFixed(2).padStart(9)} ms  ${ratio.toFixed(2)}${isTooSlow ? '  TOO SLOW' : UNLIMITED.has(name) ? '  (no limit)' : ''}\n`,
    );
  }
  return isWithin;
}

/** Streams every record of one user as CSV, and watches the memory of the service meanwhile. */
async function exportRecords({ port, pid, owner }) {
  const { rows } = await owner.query('SELECT count(*) FROM usage_records WHERE account_id = $1', [
    HEAVY.records,
  ]);
  const count = Number(rows[0].count);
  const answer = await fetch(`http://127.0.0.1:${port}/api/usage/records`, {
    headers: { authorization: `Bearer ${tokenOf(HEAVY.records)}`, accept: 'text/csv' },
  });
  const begun = performance.now();
  const memory = [];
  let lines = -1;
  const look = () => memory.push({ lines, bytes: residentBytes(pid) });
  look();
  const watch = setInterval(look, MEMORY_INTERVAL_MILLISECONDS);
  for await (const chunk of answer.body) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
  }
  clearInterval(watch);
  look();
  const seconds = (performance.now() - begun) / 1000;
  if (lines !== count) throw new Error(`the export has ${lines} records, not ${count}`);
  const most = (isHalf) => Math.max(...memory.filter(isHalf).map(({ bytes }) => bytes));
  const [first, second] = [most((at) => at.lines < count / 2), most((at) => at.lines >= count / 2)];
  const isFlat = !(second > first * EXPORT_LIMIT);
  const mega = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;
  process.stdout.write(
    `\nCSV export of ${count} records: ${seconds.toFixed(1)} s; the service had at most ${mega(first)} in its first half, ${mega(second)} in its second${isFlat ? '' : '  NOT FLAT'}\n`,
  );
  return isFlat;
}

/** Known on Linux; elsewhere memory is not watched. */
function residentBytes(pid) {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
  } catch {
    return NaN;
  }
}
