/**
 * Starts the built accounting service (`npm run build` in the repository's root first) with a database of its own, for
 * tests of clients. Needs the root's node_modules.
 *
 *     node service.js [--port 0] [--data DIR] [--lease 900] [--sweep 10] [--env NAME=VALUE]...
 *
 * It prints one line, { url, internalApiKey, adminToken, jwtSecret, pid }, when the service answers, and ends the service
 * and removes the database on SIGTERM. `pid` is the service's own process, to kill or stop it. A database in `--data`
 * stays, with its secrets, so that a later start with the same directory and port continues it. Only trusted services
 * may hold and settle (METERING_CALLERS=service); `--env METERING_CALLERS=any` lets users do it with their tokens,
 * which `accessToken(jwtSecret, { sub: 'alice' })` makes. `--env` sets any variable of the service.
 */
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      data: { type: 'string' },
      lease: { type: 'string', default: '900' },
      sweep: { type: 'string', default: '10' },
      env: { type: 'string', multiple: true, default: [] },
    },
  });
  const starting = startService({
    port: Number(values.port),
    data: values.data,
    leaseSeconds: Number(values.lease),
    sweepSeconds: Number(values.sweep),
    env: Object.fromEntries(values.env.map((pair) => pair.split(/=(.*)/s))),
  });
  // A signal while it still starts is obeyed when it has.
  for (const signal of ['SIGTERM', 'SIGINT'])
    process.on(signal, () => void starting.then((service) => service.stop()));
  const { url, internalApiKey, adminToken, jwtSecret, pid } = await starting;
  process.stdout.write(`${JSON.stringify({ url, internalApiKey, adminToken, jwtSecret, pid })}\n`);
}

/**
 * @param {{ port?: number, data?: string, leaseSeconds?: number, sweepSeconds?: number, env?: Record<string, string> }} [options]
 * @throws Error with the service's output if it does not start
 */
export async function startService({ port = 0, data, leaseSeconds = 900, sweepSeconds = 10, env = {} } = {}) {
  const directory = data ?? (await mkdtemp(join(tmpdir(), 'accounting-client-')));
  await mkdir(directory, { recursive: true });
  const { internalApiKey, jwtSecret } = secretsIn(directory);
  const child = spawn(process.execPath, [MAIN], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      EMBEDDED_POSTGRES_DIR: join(directory, 'postgres'),
      INTERNAL_API_KEY: internalApiKey,
      JWT_ACCESS_SECRET: jwtSecret,
      METERING_CALLERS: 'service',
      SESSION_LEASE_SECONDS: String(leaseSeconds),
      SWEEP_INTERVAL_SECONDS: String(sweepSeconds),
      LOG_LEVEL: 'warn',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C in a terminal reaches the parent alone, which ends the service.
    detached: true,
  });
  const ended = new Promise((done) => child.once('close', done));
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output = (output + text).slice(-20_000)));
  const listening = await new Promise((ready, failed) => {
    child.stdout.on('data', () => {
      const found = /http:\/\/localhost:(\d+)\/api\n/.exec(output);
      if (found) ready(found[1]);
    });
    void ended.then((code) => failed(new Error(`The service ended with ${code}:\n${output}`)));
  });
  return {
    url: `http://127.0.0.1:${listening}`,
    internalApiKey,
    jwtSecret,
    adminToken: accessToken(jwtSecret, { sub: 'admin', role: 'admin' }),
    pid: child.pid,
    output: () => output,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      if (data === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

function secretsIn(directory) {
  const file = join(directory, 'secrets.json');
  if (!existsSync(file)) {
    const secret = () => randomBytes(32).toString('hex');
    writeFileSync(file, JSON.stringify({ internalApiKey: secret(), jwtSecret: secret() }), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** A user's access token, good for a day. @param {{ sub: string, role?: string }} claims */
export function accessToken(secret, { sub, role = 'user' }) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const person = { sub, username: sub, email: `${sub}@example.com`, role };
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ...person, type: 'access', iat: now, exp: now + 86_400 })}`;
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
}
