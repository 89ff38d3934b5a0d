import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import autocannon from 'autocannon';
import jwt from 'jsonwebtoken';

/**
 * Requests per second over HTTP against the built service on its embedded PostgreSQL, all on this machine: so the load
 * generator, the service and the database share its cores. Compare the lines of one run with each other, not runs.
 */
const CONNECTIONS = Number(process.env.BENCH_CONNECTIONS ?? 32);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 8);
const USERS = 200;
let nextSession = 0;
const SECRET = 'secret-of-the-bench-0123456789-0123456789';
const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';

const directory = mkdtempSync(join(tmpdir(), 'accounting-bench-'));
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const service = spawn(process.execPath, ['dist/src/main.js'], {
  env: {
    ...process.env,
    PORT: String(port),
    EMBEDDED_POSTGRES_DIR: join(directory, 'postgres'),
    JWT_ACCESS_SECRET: SECRET,
    RATE_LIMIT_MAX: '1000000000',
    LOG_LEVEL: 'warn',
  },
  stdio: ['ignore', 'ignore', 'inherit'],
});
try {
  await ready();
  const tokens = await createUsers();
  const lines = [
    await measure('GET /health', [{ method: 'GET', path: '/health' }]),
    await measure('GET /api/credits/balance', [request('GET', '/api/credits/balance', tokens)]),
    await measure('initialize + finalize', sessionRequests(tokens)),
    await measure('initialize + finalize, one user', sessionRequests(tokens.slice(0, 1))),
  ];
  console.table(lines);
  const audit = await fetch(`${url}/api/credits/audit`, {
    headers: { authorization: bearer('root', 'admin') },
  });
  console.log(`audit afterwards: ${(await audit.json()).ok ? 'clean' : 'NOT CLEAN'}`);
} finally {
  service.kill('SIGTERM');
  await new Promise((ended) => service.once('exit', ended));
  rmSync(directory, { recursive: true, force: true });
}

async function measure(name, requests) {
  const result = await autocannon({ url, connections: CONNECTIONS, duration: SECONDS, requests });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${name}: ${result.non2xx} answers not 2xx, ${result.errors} errors`);
  }
  return {
    call: name,
    'requests/s': Math.round(result.requests.average),
    'p50 ms': result.latency.p50,
    'p99 ms': result.latency.p99,
  };
}

/** One connection goes through these in turn: a new session, then its end. */
function sessionRequests(tokens) {
  return [
    {
      ...request('POST', '/api/streaming-sessions/initialize', tokens),
      setupRequest: (prepared, context) => {
        const number = nextSession++;
        context.token = tokens[number % tokens.length];
        context.sessionId = `bench-${number}`;
        return send(prepared, context, { modelId: MODEL, estimatedTokens: 1000 });
      },
    },
    {
      ...request('POST', '/api/streaming-sessions/finalize', tokens),
      setupRequest: (prepared, context) => send(prepared, context, { actualTokens: 700 }),
    },
  ];
}

function send(prepared, { token, sessionId }, body) {
  const headers = { 'content-type': 'application/json', authorization: token };
  return { ...prepared, headers, body: JSON.stringify({ sessionId, ...body }) };
}

function request(method, path, tokens) {
  return { method, path, headers: { authorization: tokens[0] } };
}

async function createUsers() {
  const root = { authorization: bearer('root', 'admin'), 'content-type': 'application/json' };
  const tokens = [];
  for (let index = 0; index < USERS; index++) {
    const userId = `bench-user-${index}`;
    const body = { userId, credits: 1_000_000_000, email: `${userId}@example.com`, username: userId };
    const answer = await fetch(`${url}/api/credits/allocate`, {
      method: 'POST',
      headers: root,
      body: JSON.stringify(body),
    });
    if (answer.status !== 201) throw new Error(await answer.text());
    tokens.push(bearer(userId, 'user'));
  }
  return tokens;
}

function bearer(sub, role) {
  const claims = { sub, email: `${sub}@example.com`, username: sub, role, type: 'access' };
  return `Bearer ${jwt.sign(claims, SECRET, { expiresIn: '1h' })}`;
}

async function ready() {
  for (let attempt = 0; attempt < 300; attempt++) {
    const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
    if (answer?.ok) return;
    await pause(100);
  }
  throw new Error('the service did not become ready');
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = server.address();
      server.close(() => resolve(free));
    });
  });
}
