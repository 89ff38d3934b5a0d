import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { onEnd, runToEnd } from './cleanup.js';
import { startDatabase, startService } from './servers.js';

const USAGE = `Measures how fast events go from the outbox to a webhook's receiver on this machine.

  npm run bench:events -- [options]

  --events N     of each measurement (default 2000)
  --backlog N    events that wait when the drain begins (default 100000)
  --dist DIR     the built service (default dist)
`;
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const BYTES_PER_PAGE = 4096;
const MEGABYTE = 1024 * 1024;
const SAMPLE_MILLISECONDS = 1000;

const options = readOptions();
await runToEnd(async () => {
  await run();
  return true;
});

function readOptions() {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  const { values } = parseArgs({
    options: {
      events: { ...text, default: '2000' },
      backlog: { ...text, default: '100000' },
      dist: { ...text, default: DIST },
      help: { ...flag, short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  return { events: Number(values.events), backlog: Number(values.backlog), dist: values.dist };
}

async function run() {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-bench-'));
  onEnd(() => rm(directory, { recursive: true, force: true }));
  const database = keep(await startDatabase(options.dist, join(directory, 'postgres')));
  const receiver = keep(await startReceiver((response) => response.writeHead(204).end()));
  const silent = keep(await startReceiver(() => undefined));
  const service = keep(
    await startService(options.dist, database.url, {
      WEBHOOK_ALLOW_HTTP: 'on',
      WEBHOOK_ALLOW_PRIVATE_ADDRESSES: 'on',
      LOG_LEVEL: 'warn',
    }),
  );
  const bench = { owner: database.owner, receiver, service };
  await addEndpoint(bench, receiver.url);
  await measure(bench, 'heating', options.events, 50);
  await measure(bench, 'one user, in order', options.events, 1);
  await measure(bench, '50 users, each in order', options.events, 50);
  await addEndpoint(bench, silent.url);
  await measure(bench, '50 users, beside an endpoint that never answers', options.events, 50);
  await database.owner.query('DELETE FROM webhook_endpoints WHERE url = $1', [silent.url]);
  await measure(bench, `a backlog of 1,000 users`, options.backlog, 1000);
}

/** Writes events as movements do, all at once, and waits until the receiver has them; each user's must come in order. */
async function measure({ owner, receiver, service }, name, count, users) {
  receiver.forget();
  const data = { credits: 0, availableCredits: 0, heldCredits: 0 };
  const startedAt = performance.now();
  await owner.query(
    `SELECT count(write_event('bench-' || n % $1::integer, 'credits.exhausted', $2::jsonb || jsonb_build_object('number', n)))
       FROM generate_series(1, $3::integer) n`,
    [users, data, count],
  );
  const writtenAt = performance.now();
  const memory = [];
  let sampledAt = 0;
  while (receiver.received() < count) {
    if (performance.now() - sampledAt > SAMPLE_MILLISECONDS) {
      memory.push(await residentMegabytes(service.pid));
      sampledAt = performance.now();
    }
    await pause(5);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const facts = [
    `${count} events in ${seconds.toFixed(1)} s: ${Math.round(count / seconds)} a second`,
    `written in ${((writtenAt - startedAt) / 1000).toFixed(1)} s`,
    `memory in MB, by quarters: ${quartersOf(memory)}`,
    `out of order ${receiver.outOfOrder()}`,
    `more than once ${receiver.repeats()}`,
  ];
  process.stdout.write(`${name}: ${facts.join('; ')}\n`);
}

/** The highest of each quarter: what grows without an end grows in each. */
function quartersOf(samples) {
  const quarters = [0, 1, 2, 3].map((n) =>
    samples.slice(Math.floor((n * samples.length) / 4), Math.ceil(((n + 1) * samples.length) / 4)),
  );
  return quarters.map((some) => Math.max(...some).toFixed(0)).join(', ');
}

async function addEndpoint({ owner }, url) {
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  await owner.query('INSERT INTO webhook_endpoints (url, secret, created_by) VALUES ($1, $2, $3)', [
    url,
    secret,
    'bench',
  ]);
}

/** A receiver on this machine that counts. */
async function startReceiver(answer) {
  let last = new Map();
  let seen = new Set();
  let disorder = 0;
  let repeated = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => (body += text));
    request.on('end', () => {
      const { id, userId, data } = JSON.parse(body);
      if (seen.has(id)) repeated++;
      seen.add(id);
      if ((last.get(userId) ?? 0) > data.number) disorder++;
      last.set(userId, data.number);
      answer(response);
    });
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    received: () => seen.size,
    outOfOrder: () => disorder,
    repeats: () => repeated,
    forget: () => {
      [last, seen, disorder, repeated] = [new Map(), new Set(), 0, 0];
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** Known on Linux; elsewhere the figure is missing. */
async function residentMegabytes(pid) {
  const statm = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '0 0');
  return (Number(statm.split(' ')[1]) * BYTES_PER_PAGE) / MEGABYTE;
}

function keep(server) {
  onEnd(() => server.stop());
  return server;
}
