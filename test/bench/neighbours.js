import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import jwt from 'jsonwebtoken';
import { onEnd, runToEnd } from './cleanup.js';
import { SECRET, startDatabase, startService } from './servers.js';

const USAGE = `Measures what the reads of one caller with the worst stored data cost the holds of another user.

  npm run bench:neighbours -- [options]

  --holds N      of the other user, one after the other, for each read (default 100)
  --parallel N   reads under way at once (default 90)
  --records N    of the caller, each with names of its own (default 30000)
  --dist DIR     the built service (default dist)
`;
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
/** The default rate limit: no caller sends more. */
const READS_PER_SECOND = 100;
/** What a hold beside the reads may take, in times of what it takes alone. */
const MOST = 2;

/** Every read whose cost depends on what is stored; `admin` reads what is everyone's. */
const READS = [
  ['user', '/api/usage/stats'],
  ['user', '/api/usage/records?limit=200'],
  ['user', '/api/usage/records?operation=nothing'],
  ['user', '/api/usage/records', 'text/csv'],
  ['user', '/api/usage/classes'],
  ['user', '/api/credits/balance'],
  ['user', '/api/credits/forecast?windowDays=365'],
  ['user', '/api/credits/ledger?limit=200'],
  ['user', '/api/streaming-sessions/active'],
  ['user', '/api/api-keys?limit=200'],
  ['admin', '/api/usage/system-stats?top=1000'],
  ['admin', '/api/usage/classes/all'],
  ['admin', '/api/usage/records/all?operation=nothing'],
  ['admin', '/api/usage/needs-review?limit=200'],
  ['admin', '/api/accounts?limit=200'],
  ['admin', '/api/credits/totals'],
];

const options = readOptions();
await runToEnd(run);

function readOptions() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: {
      holds: { ...text, default: '100' },
      parallel: { ...text, default: '90' },
      records: { ...text, default: '30000' },
      dist: { ...text, default: DIST },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const { holds, parallel, records, dist } = values;
  return { holds: Number(holds), parallel: Number(parallel), records: Number(records), dist };
}

/** Answers whether no hold was refused and none of the reads made holds take more than twice their time. */
async function run() {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-bench-'));
  onEnd(() => rm(directory, { recursive: true, force: true }));
  const database = await startDatabase(options.dist, join(directory, 'postgres'));
  onEnd(() => database.stop());
  const service = await startService(options.dist, database.url, { LOG_LEVEL: 'warn' });
  onEnd(() => service.stop());
  const url = `http://127.0.0.1:${service.port}`;
  const callers = {
    victim: callerOf(url, 'victim', 'user'),
    user: callerOf(url, 'attacker', 'user'),
    admin: callerOf(url, 'admin', 'admin'),
  };
  for (const caller of Object.values(callers)) await caller.send('/api/credits/balance');
  await seed(database.owner);
  await measureHolds(callers.victim, 'heating');
  const alone = await measureHolds(callers.victim, 'alone');
  print(['alone', alone.median, alone.p95, 1, alone.refused, '']);
  let isGood = true;
  for (const [index, [role, path, accept]] of READS.entries()) {
    const reads = readOn(callers[role], path, accept);
    const beside = await measureHolds(callers.victim, `beside-${index}`);
    const answered = await reads.stop();
    const ratio = beside.median / alone.median;
    if (ratio > MOST || beside.refused > 0) isGood = false;
    print([`${role} ${path} ${accept ?? ''}`, beside.median, beside.p95, ratio, beside.refused, answered]);
  }
  return isGood;
}

/** The most that one user can have stored: names of the greatest length, each used once, on many days. */
async function seed(owner) {
  await owner.query(
    `SELECT count(usage_record('attacker', r || jsonb_build_object(
              'service', left(n || repeat('é', 50), 50), 'recordedOperation', left(n || repeat('é', 100), 100)))),
            count(usage_record('attacker', r || jsonb_build_object(
              'service', 'chat', 'recordedOperation', left(n % 20 || repeat('é', 100), 100))))
       FROM generate_series(1, $1::integer) n, LATERAL jsonb_build_object(
            'accountId', 'attacker', 'userId', 'attacker', 'timestamp', now() - n % 360 * interval '1 day', 'credits', n,
            'metadata', '{}'::jsonb) r`,
    [options.records],
  );
  await owner.query(
    `SELECT credit_allocate(u, jsonb_build_object('accountId', u, 'credits', 1000000000, 'expiryDays', 30, 'actor', 'bench'))
       FROM unnest(ARRAY['victim', 'attacker']) u`,
  );
  await owner.query('VACUUM ANALYZE');
}

function callerOf(url, userId, role) {
  const claims = { sub: userId, email: `${userId}@example.com`, username: userId, role, type: 'access' };
  const authorization = `Bearer ${jwt.sign(claims, SECRET, { expiresIn: '1h' })}`;
  return {
    send: async (path, body, accept = 'application/json') => {
      const answer = await fetch(url + path, {
        method: body === undefined ? 'GET' : 'POST',
        headers: { authorization, accept, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      await answer.arrayBuffer();
      return answer.status;
    },
  };
}

/** Holds of one user, one after the other; each is given back, so that the sessions do not become many. */
async function measureHolds(victim, id) {
  const milliseconds = [];
  let refused = 0;
  for (let index = 0; index < options.holds; index++) {
    const sessionId = `${id}-${index}`;
    const began = performance.now();
    const status = await victim.send('/api/streaming-sessions/initialize', {
      sessionId,
      modelId: MODEL,
      estimatedTokens: 1000,
    });
    milliseconds.push(performance.now() - began);
    if (status !== 201) refused++;
    else await victim.send('/api/streaming-sessions/abort', { sessionId });
  }
  milliseconds.sort((a, b) => a - b);
  const quantile = (part) => milliseconds[Math.floor(milliseconds.length * part)];
  return { median: quantile(0.5), p95: quantile(0.95), refused };
}

/** Keeps so many reads under way, as far as the rate limit lets them, until it is stopped; then it answers how often each status came. */
function readOn(caller, path, accept) {
  const statuses = {};
  let isOver = false;
  const lanes = Array.from({ length: options.parallel }, async () => {
    while (!isOver) {
      const next = pause((options.parallel / READS_PER_SECOND) * 1000);
      const status = await caller.send(path, undefined, accept);
      statuses[status] = (statuses[status] ?? 0) + 1;
      await next;
    }
  });
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(lanes);
      return Object.entries(statuses)
        .map(([status, count]) => `${status}: ${count}`)
        .join(', ');
    },
  };
}

function print([name, median, p95, ratio, refused, answered]) {
  process.stdout.write(
    `${name.padEnd(48)} hold ${median.toFixed(1)} ms (p95 ${p95.toFixed(1)}), ${ratio.toFixed(2)} times, ` +
      `${refused} refused${answered === '' ? '' : `; reads ${answered}`}\n`,
  );
}
