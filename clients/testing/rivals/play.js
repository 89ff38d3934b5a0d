/** Plays each way to end with each tool, and compares what was reported with what the provider billed. See README.md. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startProvider } from '../provider.js';
import { startService } from '../service.js';
import { createBackend } from './backend.js';
import { TOOLS } from './tools.js';

const { values: options } = parseArgs({
  options: {
    streams: { type: 'string', default: '30' },
    tool: { type: 'string', multiple: true },
    way: { type: 'string', multiple: true },
    source: { type: 'string', default: '.' },
    python: { type: 'string', default: 'python3' },
    port: { type: 'string', default: '27000' },
  },
});
const PORT = Number(options.port);
const file = (name) => new URL(name, import.meta.url).pathname;
const AWAY_SECONDS = 10;
/** After ten chunks of each stream; the shortest lasts 2 s. */
const SIGNAL_AFTER_MS = 1500;
const LEASE_SECONDS = 10;
/** It starts without a look at the internet, and without a key, because it listens on loopback alone. */
const LITELLM = {
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  LITELLM_TELEMETRY: 'False',
  LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: 'true',
};
/** No program in Python gets out. */
const OFFLINE = {
  HTTPS_PROXY: 'http://127.0.0.1:9',
  HTTP_PROXY: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1',
};
/** `scenario` of the provider, `signal` to the process that meters while all streams run, credits of each customer. */
const WAYS = {
  end: {},
  cached: { scenario: { cached: 1000 } },
  leaves: { leaves: true },
  throws: { leaves: true },
  fails: { fails: true },
  SIGTERM: { signal: 'SIGTERM' },
  SIGKILL: { signal: 'SIGKILL' },
  away: { away: true },
  credits: { credits: 150 },
};
const directory = await mkdtemp(join(tmpdir(), 'rivals-'));
const provider = await startProvider({ port: PORT });
const backend = createBackend(PORT + 1);
const startOurs = () =>
  startService({ data: directory, port: PORT + 2, leaseSeconds: LEASE_SECONDS, sweepSeconds: 1 });
const tools = options.tool ?? Object.keys(TOOLS);
let service = tools.includes('ours') ? await startOurs() : undefined;
const price = { input_cost_per_token: 0.001, output_cost_per_token: 0.001 };
if (service)
  await admin('POST', '/pricing/import', { 'gpt-4o-mini': { litellm_provider: 'openai', ...price } });
await backend.open();
try {
  for (const tool of tools)
    for (const way of options.way ?? Object.keys(WAYS)) console.log(tool, way, await play(tool, way));
} finally {
  await Promise.all([provider.stop(), backend.close(), service?.stop()]);
  await rm(directory, { recursive: true, force: true });
}

async function play(tool, way) {
  const { scenario, leaves, fails, signal, away, credits } = WAYS[way];
  const prefix = `${tool}-${way}-${Date.now()}`;
  const calls = Array.from({ length: Number(options.streams) }, (_, index) => {
    const tokens = credits ? 400 : 100 + ((index * 37) % 200);
    const at = 15 + ((index * 53) % (tokens - 30));
    const failAfterTokens = fails ? at : undefined;
    const given = { tokens, everyMs: 20, goOn: false, failAfterTokens, ...scenario };
    return { id: `${prefix}-${index}`, scenario: given, ...(leaves ? { leaveAt: at } : {}) };
  });
  if (tool === 'ours')
    for (const { id } of calls)
      await admin('POST', '/credits/allocate', { userId: id, credits: credits ?? 1e6 });
  const proxy = tool === 'litellm' ? await startProxy() : undefined;
  const lingerSeconds = away ? 60 : 15;
  const urls = { provider: provider.url, backend: backend.url, proxy: proxy?.url, source: options.source };
  const keys = { url: service?.url, internalApiKey: service?.internalApiKey };
  const argument = JSON.stringify({ tool, way, calls, ...urls, service: keys, lingerSeconds });
  const program = tool === 'lago' ? [options.python, 'client.py'] : [process.execPath, 'client.js'];
  const client = run(program[0], [file(program[1]), argument]);
  if (signal || away) await client.printed('reading');
  if (signal) {
    await pause(SIGNAL_AFTER_MS);
    (proxy ?? client).child.kill(signal);
  }
  if (away) {
    const ours = tool === 'ours';
    await (ours ? service.stop() : backend.close());
    await client.printed('ended');
    await pause(AWAY_SECONDS * 1000);
    if (ours) service = await startOurs();
    else await backend.open();
  }
  await client.closed;
  if (signal === 'SIGKILL' && tool === 'ours') await pause((LEASE_SECONDS + 4) * 1000);
  proxy?.child.kill('SIGTERM');
  await proxy?.closed;
  return summary(tool, calls, client.output());
}

/** LiteLLM's proxy without a database; it sends each log to the backend. */
async function startProxy() {
  const url = `http://127.0.0.1:${PORT + 3}`;
  const args = ['--config', file('litellm.yaml'), '--host', '127.0.0.1', '--port', String(PORT + 3)];
  const urls = { PROVIDER: `${provider.url}/v1`, GENERIC_LOGGER_ENDPOINT: `${backend.url}/litellm` };
  const proxy = run(options.python, ['-c', 'from litellm import run_server; run_server()', ...args], {
    ...LITELLM,
    ...urls,
  });
  while (!(await fetch(`${url}/health/readiness`).catch(() => undefined))?.ok) {
    if (proxy.child.exitCode !== null) throw new Error(`LiteLLM ended:\n${proxy.output().slice(-2000)}`);
    await pause(200);
  }
  return { ...proxy, url };
}

function run(command, args, env = {}) {
  const child = spawn(command, args, {
    env: { ...process.env, ...OFFLINE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const closed = new Promise((done) => child.once('close', done));
  const printed = async (line) => {
    while (!new RegExp(`^${line}$`, 'm').test(output)) {
      if (child.exitCode !== null) throw new Error(`${command} ended:\n${output}`);
      await pause(20);
    }
  };
  return { child, closed, printed, output: () => output };
}

async function summary(tool, calls, output) {
  const counts = { right: 0, missing: 0, doubled: 0, wrong: 0, cachedRight: 0, stopped: 0, ends: {} };
  Object.assign(counts, { billedTokens: 0, reportedTokens: 0 });
  for (const { id, scenario } of calls) {
    let bill;
    while ((bill = provider.billed.get(id))?.isOpen) await pause(20);
    const reports = tool === 'ours' ? await records(id) : backend.reports.filter(({ call }) => call === id);
    const sum = (name) => reports.reduce((total, report) => total + (report[name] ?? 0), 0);
    const input = bill.inputTokens + bill.cachedInputTokens;
    const billed = input + bill.outputTokens;
    const [, chunks, end] = new RegExp(`^call ${id} (\\d+) (.*)$`, 'm').exec(output) ?? [];
    // Of a stream that breaks off, the provider also bills what was on its way.
    const received = input + Math.min(Number(chunks ?? bill.outputTokens), bill.outputTokens);
    const reported = sum('input') + sum('output');
    const tolerance = Math.max(3, billed * 0.05);
    const isRight = reported >= received - tolerance && reported <= billed + tolerance;
    const times = reports.filter(({ output }) => output > 0).length;
    const kind = reported === 0 ? 'missing' : times > 1 ? 'doubled' : isRight ? 'right' : 'wrong';
    counts[kind]++;
    counts.billedTokens += billed;
    counts.reportedTokens += reported;
    if (sum('cached') === bill.cachedInputTokens) counts.cachedRight++;
    if (bill.outputTokens < scenario.tokens) counts.stopped++;
    counts.ends[end ?? 'killed'] = (counts.ends[end ?? 'killed'] ?? 0) + 1;
  }
  return JSON.stringify(counts);
}

/** What our service charged; its input excludes what was cached. */
async function records(userId) {
  const { items } = await admin('GET', `/usage/records/user/${userId}`);
  return items.map(({ quantities }) => {
    const { input = 0, output = 0, cached_input: cached = 0 } = quantities;
    return { input: input + cached, output, cached };
  });
}

async function admin(method, path, body) {
  const headers = { authorization: `Bearer ${service.adminToken}`, 'content-type': 'application/json' };
  const request = { method, headers, body: body && JSON.stringify(body) };
  const response = await fetch(`${service.url}/api${path}`, request);
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}
