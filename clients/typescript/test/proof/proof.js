/**
 * Plays streams of each SDK in each way to end against the real service and a provider that speaks the real wire formats,
 * then compares what was charged with what the provider billed.
 *
 *     npm run proof -- [--streams 200] [--concurrency 60] [--sdk NAME] [--way NAME] [--outage 60] [--only PHASE]
 *         [--tokens 250] [--every-ms 20] [--seed 1]
 *
 * Phases: streams, kill, outage, provider, overhead. It fails if a hold is left after the lease, a call is settled twice or
 * not at all, a charge differs from a reported usage, or without one by more than 5 % from what was
 * billed: over all calls of a row, and of a single call unless the provider wrote it in the last 0.3 s.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startService } from '../../../testing/service.js';
import { Accounting } from '../../dist/index.js';
import { CLAUDE, entriesOf, GPT } from './entries.js';
import { play, WAYS } from './ways.js';

const { values: options } = parseArgs({
  options: {
    streams: { type: 'string', default: '200' },
    concurrency: { type: 'string', default: '60' },
    sdk: { type: 'string' },
    way: { type: 'string' },
    outage: { type: 'string', default: '60' },
    only: { type: 'string' },
    tokens: { type: 'string', default: '250' },
    'every-ms': { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
  },
});
const STREAMS = Number(options.streams);
const CONCURRENCY = Number(options.concurrency);
const USERS = 10;
/** Longer than any stream, so that no session that its client settles is ended by its lease. */
const LEASE_SECONDS = 30;
/** Of the longest streams; the shortest have a fifth. */
const TOKENS = Number(options.tokens);
/** Between two tokens: models write some fifty in a second. */
const EVERY_MS = Number(options['every-ms']);
const TOLERANCE = 0.05;
/** Until the end of a connection reaches it, a provider goes on; more than that is no fault of the clock. */
const TOLERANCE_TOKENS = Math.ceil(300 / EVERY_MS);
const PROVIDER = fileURLToPath(new URL('../../../testing/provider.js', import.meta.url));
const random = seeded(Number(options.seed));
const failures = [];

let directory;
let service;
let provider;

async function main() {
  directory = await mkdtemp(join(tmpdir(), 'accounting-proof-'));
  const start = (port = 0) =>
    startService({ data: directory, port, leaseSeconds: LEASE_SECONDS, sweepSeconds: 2 });
  service = await start();
  provider = await startProvider();
  try {
    const price = {
      input_cost_per_token: 0.001,
      output_cost_per_token: 0.001,
      cache_read_input_token_cost: 0.0005,
    };
    await admin('POST', '/pricing/import', {
      [GPT]: { litellm_provider: 'openai', ...price },
      [CLAUDE]: { litellm_provider: 'anthropic', ...price },
    });
    // Ctrl-C leaves neither service nor database behind.
    for (const signal of ['SIGINT', 'SIGTERM'])
      process.once(
        signal,
        () => void Promise.all([provider.stop(), service.stop()]).finally(() => process.exit(1)),
      );
    const phases = { streams, kill, outage, provider: providerDown, overhead };
    for (const [name, run] of Object.entries(phases)) if ((options.only ?? name) === name) await run();
    await pause((LEASE_SECONDS + 4) * 1000);
    const open = await admin('GET', '/streaming-sessions/active/all?limit=10000');
    check(open.length === 0, `${open.length} holds are left after the lease`);
    const { differences } = await admin('GET', '/credits/audit');
    check((differences ?? []).length === 0, `the audit finds differences: ${JSON.stringify(differences)}`);
    print(
      `\nHolds left after the lease: ${open.length}. ${failures.length === 0 ? 'Everything holds.' : 'FAILED:'}`,
    );
    for (const failure of failures) print(`- ${failure}`);
  } finally {
    await provider.stop();
    await service.stop();
    await rm(directory, { recursive: true, force: true });
  }
  process.exit(failures.length === 0 ? 0 : 1);
}

const start = (port = 0) =>
  startService({ data: directory, port, leaseSeconds: LEASE_SECONDS, sweepSeconds: 2 });

/** Each SDK, each way to end. */
async function streams() {
  print(`\n${STREAMS} streams for each SDK and way to end, ${CONCURRENCY} at once\n`);
  const columns = [
    'SDK',
    'the stream',
    'streams/s',
    'settled once',
    'twice',
    'never',
    'by the lease',
    'exact',
  ];
  columns.push('estimated', 'charged of billed', 'worst, tokens', 'beyond 5 %');
  print(`| ${columns.join(' | ')} |\n|---|---|${'--:|'.repeat(columns.length - 2)}`);
  for (const [sdk, entry] of Object.entries(entriesOf(provider.url))) {
    if (!sdk.includes(options.sdk ?? '')) continue;
    // What a service that runs has seen.
    await combination(sdk, entry, 'warm-up', {}, 30);
    for (const [name, way] of Object.entries(WAYS)) {
      if (!name.includes(options.way ?? '') || (way.needsReturn && sdk.startsWith('ai '))) continue;
      print(row(sdk, name, await combination(sdk, entry, name, way, STREAMS)));
    }
  }
}

async function combination(sdk, entry, name, way, count) {
  await fetch(`${provider.url}/billed`, { method: 'DELETE' });
  const tag = `${sdk} ${name}`.replaceAll(/[^a-z]+/g, '-');
  const userOf = (index) => `${tag.slice(0, 30)}-${way.credits ? index : index % USERS}`;
  const endings = {};
  const begun = performance.now();
  const accounting = connection(way.options);
  if (!way.credits) for (let user = 0; user < USERS; user++) await allocate(userOf(user), 1e9);
  await inParallel(count, async (index) => {
    const id = `${tag}-${index}`;
    if (way.credits) await allocate(userOf(index), way.credits);
    const tokens = Math.ceil(TOKENS * (0.2 + 0.8 * random()));
    const at = 1 + Math.floor(random() * tokens);
    const scenario = { id, tokens, everyMs: EVERY_MS, ...way.scenario, ...(way.at ? { [way.at]: at } : {}) };
    const caller = accounting.for({ userId: userOf(index), tags: { proof: tag, call: id } });
    const played = way.timeout ? { ...way, timeoutMs: 1000 + random() * 2500 } : way;
    const begin = (given) => entry(caller, given);
    const ended = await play(played, begin, headersOf(scenario), at, !sdk.startsWith('ai '));
    endings[ended] = (endings[ended] ?? 0) + 1;
  });
  await accounting.drain({ seconds: 30 });
  const seconds = (performance.now() - begun) / 1000;
  return { ...compare(await recordsOf(tag), await billed(), tag), perSecond: count / seconds, endings };
}

/** Joins what was charged with what was billed, by call. */
function compare(records, bills, tag) {
  const byCall = groupBy(records, callOf);
  const result = {
    once: 0,
    twice: 0,
    never: 0,
    byLease: 0,
    exact: 0,
    estimated: 0,
    beyond: 0,
    worst: 0,
    charged: 0,
    billed: 0,
  };
  for (const bill of bills) {
    const found = (byCall.get(bill.id) ?? []).filter((record) => record.credits > 0 || creditsOf(bill) === 0);
    const [record] = found;
    if (found.length > 1) result.twice++;
    // A call that the provider refused may have no record, or one of nothing.
    else if (record === undefined && creditsOf(bill) > 0) result.never++;
    else result.once++;
    if (record === undefined) continue;
    if (record.service === 'chat-streaming-timeout') result.byLease++;
    const difference = Math.abs(record.credits - creditsOf(bill)) / Math.max(creditsOf(bill), 1);
    if (record.usageSource !== 'estimated') {
      if (difference === 0) result.exact++;
      else
        failures.push(`${bill.id}: reported, but ${record.credits} charged in place of ${creditsOf(bill)}`);
      continue;
    }
    result.estimated++;
    result.charged += record.credits;
    result.billed += creditsOf(bill);
    result.worst = Math.max(result.worst, Math.abs(record.credits - creditsOf(bill)));
    if (difference > TOLERANCE) result.beyond++;
    if (difference > TOLERANCE && Math.abs(record.credits - creditsOf(bill)) > TOLERANCE_TOKENS)
      failures.push(`${bill.id}: ${record.credits} charged, ${creditsOf(bill)} billed`);
  }
  const share = result.charged / Math.max(result.billed, 1);
  check(
    result.billed === 0 || Math.abs(share - 1) <= TOLERANCE,
    `${tag}: ${percent(share)} of the bill was charged`,
  );
  check(result.twice + result.never + result.byLease === 0, `${tag}: ${JSON.stringify(result)}`);
  return result;
}

const callOf = (record) => record.tags.call;
/** A cached token costs a half. */
const creditsOf = (bill) => Math.ceil(bill.inputTokens + bill.cachedInputTokens / 2 + bill.outputTokens);

function row(sdk, name, result) {
  const {
    once,
    twice,
    never,
    byLease,
    exact,
    estimated,
    beyond,
    worst,
    charged,
    billed: cost,
    perSecond,
  } = result;
  const estimates = estimated === 0 ? ['', '', ''] : [percent(charged / Math.max(cost, 1)), worst, beyond];
  const cells = [
    sdk,
    name,
    perSecond.toFixed(0),
    once,
    twice,
    never,
    byLease,
    exact,
    estimated,
    ...estimates,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** kill -9 of the client in mid-stream: the lease settles what was reported. */
async function kill() {
  const count = Math.min(STREAMS, 300);
  await fetch(`${provider.url}/billed`, { method: 'DELETE' });
  await allocate('killed', 1e9);
  const settings = {
    options: connectionOptions({ userId: 'killed', progress: { everyTokens: 20, everySeconds: 1 } }),
    provider: provider.url,
    model: GPT,
    streams: count,
    scenario: { id: 'killed', tokens: 20_000, everyMs: 20, goOn: false },
  };
  const program = fileURLToPath(new URL('../programs/stream.js', import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((reading) => createInterface({ input: child.stdout }).on('line', reading));
  await pause(3000);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await pause((LEASE_SECONDS + 5) * 1000);
  const records = await userRecords('killed');
  const charged = records.reduce((sum, { credits }) => sum + credits, 0);
  const cost = (await billed()).reduce((sum, bill) => sum + creditsOf(bill), 0);
  const sessions = new Set(records.map(({ sessionId }) => sessionId)).size;
  check(
    sessions === count && records.length === count,
    `kill -9: ${records.length} records of ${sessions} sessions of ${count}`,
  );
  print(
    `\nkill -9 of the client with ${count} streams under way: ${records.length} records, one for each of ${sessions} sessions,`,
  );
  print(
    `all settled by the lease; ${percent(charged / cost)} of what was billed was charged (progress every 20 tokens or 1 s).`,
  );
}

/** The service is away for a while: one client lets calls through, another refuses them. */
async function outage() {
  const seconds = Number(options.outage);
  await fetch(`${provider.url}/billed`, { method: 'DELETE' });
  for (const user of ['open', 'closed']) await allocate(user, 1e9);
  const spool = join(directory, 'spool');
  const failOpen = { maxCredits: 1e8, spool, creditsPerCall: 300 };
  const open = connection({
    failOpen,
    timeoutSeconds: 1,
    onError: (error) => failures.push(`outage: ${error.message}`),
  });
  const closed = connection({ timeoutSeconds: 1, onError: () => {} });
  const entries = Object.entries(entriesOf(provider.url));
  const made = { open: new Set(), closed: new Set(), refused: new Set() };
  let isOver = false;
  let index = 0;
  const worker = async (mode, accounting) => {
    while (!isOver) {
      const number = index++;
      const id = `outage-${mode}-${number}`;
      const scenario = { id, tokens: 20 + Math.floor(random() * 80), everyMs: EVERY_MS };
      const caller = accounting.for({ userId: mode, tags: { proof: `outage-${mode}`, call: id } });
      const [, entry] = entries[number % entries.length];
      const ended = await play({}, (given) => entry(caller, given), headersOf(scenario), 0, true);
      if (ended === 'ended') made[mode].add(id);
      else if (ended === 'AccountingUnavailable') made.refused.add(id);
      else failures.push(`outage: ${id} ended as ${ended}`);
      if (ended !== 'ended') await pause(100);
    }
  };
  const workers = [...Array(10)].flatMap(() => [worker('open', open), worker('closed', closed)]);
  await pause(3000);
  const { port } = new URL(service.url);
  await service.stop();
  await pause(seconds * 1000);
  service = await start(Number(port));
  await pause(5000);
  isOver = true;
  await Promise.all(workers);
  const isDrained = await open.drain({ seconds: 60 });
  check(isDrained && (await closed.drain({ seconds: 60 })), 'outage: settlements are left');
  const bills = await billed();
  const result = {
    open: compare(
      await recordsOf('outage-open'),
      bills.filter(({ id }) => made.open.has(id)),
      'outage-open',
    ),
  };
  result.closed = compare(
    await recordsOf('outage-closed'),
    bills.filter(({ id }) => made.closed.has(id)),
    'outage-closed',
  );
  const paidFor = bills.filter(({ id }) => made.refused.has(id)).length;
  check(paidFor === 0, `outage: ${paidFor} refused calls reached the provider`);
  print(
    `\nService away for ${seconds} s. failOpen: ${made.open.size} calls, ${result.open.exact} charged exactly once;`,
  );
  print(
    `closed: ${made.closed.size} calls, ${result.closed.exact} charged exactly once, ${made.refused.size} refused, ${paidFor} of them reached the provider.`,
  );
  open.close();
}

/** The provider cannot be reached. */
async function providerDown() {
  const credits = 1e9;
  await allocate('unlucky', credits);
  const entries = Object.values(entriesOf(provider.url));
  await provider.stop();
  const accounting = connection({ userId: 'unlucky' });
  const endings = {};
  await inParallel(Math.min(STREAMS, 200), async (index) => {
    const start = (given) =>
      entries[index % entries.length](accounting, { ...given, signal: AbortSignal.timeout(30_000) });
    const ended = await play({}, start, headersOf({}), 0, true);
    endings[ended] = (endings[ended] ?? 0) + 1;
  });
  provider = await startProvider();
  await accounting.drain({ seconds: 10 });
  // The middleware keeps a hold for a retry of the AI SDK for five seconds.
  await pause(6000);
  const { totalCredits } = await admin('GET', '/credits/balance/unlucky');
  check(totalCredits === credits, `provider down: ${credits - totalCredits} credits are gone`);
  print(`\nProvider down: ${JSON.stringify(endings)}; ${credits - totalCredits} credits are gone.`);
}

/** Time to the first chunk, and for each chunk, with and without metering. */
async function overhead() {
  await allocate('swift', 1e9);
  const accounting = connection({ userId: 'swift' });
  const runs = Math.max(Math.min(STREAMS, 300), 50);
  print(`\nOverhead, ${runs} calls each, one at a time; p50 in ms\n`);
  print(
    '| SDK | first chunk, plain | metered | difference | a hold by itself | µs for a chunk, plain | metered |',
  );
  print('|---|--:|--:|--:|--:|--:|--:|');
  for (const [sdk, entry] of Object.entries(entriesOf(provider.url))) {
    const times = { plain: [], metered: [], hold: [] };
    for (let run = -5; run < runs; run++) {
      const add = (name, time) => run >= 0 && times[name].push(time);
      add('plain', await firstChunk(entry, undefined));
      add('metered', await firstChunk(entry, accounting));
      // Like the metered call, it comes after a plain one.
      await firstChunk(entry, undefined);
      add('hold', await holdByItself(accounting, sdk.includes('anthropic') ? CLAUDE : GPT));
    }
    const [plain, metered, hold] = [times.plain, times.metered, times.hold].map(median);
    const chunks = [
      await microsecondsPerChunk(entry, undefined),
      await microsecondsPerChunk(entry, accounting),
    ];
    const cells = [plain, metered, metered - plain, hold].map((time) => time.toFixed(1));
    print(`| ${[sdk, ...cells, ...chunks.map((time) => time.toFixed(0))].join(' | ')} |`);
  }
}

/** The round trip of a hold, as a caller without a client makes it. */
async function holdByItself(accounting, modelId) {
  const sessionId = randomUUID();
  const begun = performance.now();
  const held = await fetch(`${service.url}/api/streaming-sessions/initialize`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-internal-api-key': service.internalApiKey },
    body: JSON.stringify({ sessionId, modelId, userId: 'swift', inputTokens: 27, maxOutputTokens: 2000 }),
  });
  await held.json();
  const milliseconds = performance.now() - begun;
  check(held.status === 201, `a hold by itself: ${held.status}`);
  return milliseconds;
}

async function firstChunk(entry, accounting) {
  const begun = performance.now();
  let first;
  for await (const part of await entry(accounting, { headers: headersOf({ tokens: 3, firstMs: 0 }) }))
    // The AI SDK has parts of its own before the first of the model.
    if (!['start', 'start-step'].includes(part.type)) first ??= performance.now();
  return first - begun;
}

async function microsecondsPerChunk(entry, accounting) {
  const times = [];
  for (let run = 0; run < 7; run++) {
    let first;
    let last;
    let chunks = 0;
    for await (const _ of await entry(accounting, { headers: headersOf({ tokens: 1900 }) })) {
      last = performance.now();
      first ??= last;
      chunks++;
    }
    times.push(((last - first) * 1000) / chunks);
  }
  return median(times);
}

// ---- what they share ----

function connectionOptions(more) {
  return { baseUrl: service.url, internalApiKey: service.internalApiKey, timeoutSeconds: 30, ...more };
}
function connection(more) {
  return new Accounting({ onError: (error) => failures.push(error.message), ...connectionOptions(more) });
}

async function startProvider() {
  const child = spawn(process.execPath, [PROVIDER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const stop = async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return { ...JSON.parse(line), stop };
}

async function admin(method, path, body) {
  const response = await fetch(`${service.url}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${service.adminToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // The limit of requests is for callers; this one waits.
  if (response.status === 429) return pause(1000).then(() => admin(method, path, body));
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const allocate = (userId, credits) => admin('POST', '/credits/allocate', { userId, credits });
const recordsOf = (tag) => pages(`/usage/records/all?tag=${encodeURIComponent(`proof=${tag}`)}`);
const userRecords = (user) => pages(`/usage/records/user/${user}?`);

async function pages(path) {
  const all = [];
  for (let cursor; cursor !== null;) {
    const page = await admin('GET', `${path}&limit=200${cursor === undefined ? '' : `&cursor=${cursor}`}`);
    all.push(...page.items);
    cursor = page.nextCursor;
  }
  return all;
}

/** When nothing is generated any more. */
async function billed() {
  for (;;) {
    const bills = await (await fetch(`${provider.url}/billed`)).json();
    if (bills.every(({ isOpen }) => !isOpen)) return bills;
    await pause(100);
  }
}

async function inParallel(count, run) {
  let next = 0;
  const worker = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, worker));
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

/** The same streams for the same seed (mulberry32). */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

const headersOf = (scenario) => ({ 'x-fake': JSON.stringify(scenario) });
const median = (times) => times.sort((one, other) => one - other)[Math.floor(times.length / 2)];
const percent = (share) => `${(share * 100).toFixed(1)} %`;
function check(holds, failure) {
  if (!holds) failures.push(failure);
}
function print(line) {
  process.stdout.write(`${line}\n`);
}

await main();
