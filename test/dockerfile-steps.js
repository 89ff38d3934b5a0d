// Runs the steps of deploy/Dockerfile without Docker: in an empty directory, as a user who owns nothing else, with this
// machine's Node.js. Then it starts what they made and asks it by the image's own health check.
//   node test/dockerfile-steps.js DIRECTORY        (needs the project built: dist)
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';
import { startEmbeddedPostgres } from '../dist/src/postgres-server/embedded-postgres.js';
import { createEmbeddedDatabase } from '../dist/src/postgres-server/open-database.js';

const PORT = '38017';
const HEALTH_SECONDS = 30;
const USER = 1000;
const root = resolve(process.argv[2] ?? '');
const isRoot = process.getuid?.() === 0;

/** Instructions as pairs of a word and the rest; lines that end in a backslash go on. */
const instructions = readFileSync('deploy/Dockerfile', 'utf8')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .map((line) => /^([A-Z]+) (.*)$/.exec(line))
  .filter((found) => found !== null)
  .map(([, word, rest]) => [word, rest]);

/** What the build may see: the lines of the ignore file that begin with `!`, as all else is left out. */
const visible = readFileSync('deploy/Dockerfile.dockerignore', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('!'))
  .map((line) => line.slice(1));

/** @param {string[]} command */
const asUser = (command) =>
  isRoot ? ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', ...command] : command;

function run(command, cwd, env = {}) {
  const [program, ...args] = asUser(command);
  const { status } = spawnSync(program, args, { cwd, stdio: 'inherit', env: environment(env) });
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}`);
}

const environment = (more) => ({
  PATH: process.env.PATH,
  HOME: root,
  npm_config_cache: join(root, 'npm'),
  npm_config_update_notifier: 'false',
  ...more,
});

/** Carries the instructions out; each stage has a directory for its root. Answers what the last stage is run with. */
function build() {
  let stage = { directory: '', workdir: '/', env: {}, cmd: [], health: [], user: '' };
  for (const [word, rest] of instructions) {
    const here = () => join(stage.directory, stage.workdir);
    if (word === 'FROM') {
      const name = / AS (\w+)$/.exec(rest)?.[1] ?? 'image';
      stage = { directory: join(root, name), workdir: '/', env: {}, cmd: [], health: [], user: '' };
    } else if (word === 'WORKDIR') {
      stage.workdir = rest;
      mkdirSync(here(), { recursive: true });
      if (isRoot) chownSync(here(), USER, USER);
    } else if (word === 'COPY') copy(rest, here());
    else if (word === 'RUN') run(['sh', '-euc', rest], here(), stage.env);
    else if (word === 'ENV') Object.assign(stage.env, Object.fromEntries([rest.split('=')]));
    else if (word === 'CMD') stage.cmd = JSON.parse(rest);
    else if (word === 'HEALTHCHECK') stage.health = JSON.parse(rest.slice(rest.indexOf(' CMD ') + 5));
    else if (word === 'USER') stage.user = rest;
    else if (word !== 'EXPOSE') throw new Error(`${word} is not known here; add it to this file`);
  }
  if (!/^[1-9]/.test(stage.user)) throw new Error('the image must run as a user with a number, not as root');
  return stage;
}

function copy(rest, here) {
  const words = rest.split(' ');
  const from = /^--from=(\w+)$/.exec(words[0])?.[1];
  const [source, target] = from === undefined ? words : words.slice(1);
  const to = join(here, target);
  if (from !== undefined) return run(['cp', '-a', join(root, from, source), to], here);
  for (const name of visible) cpSync(name, join(to, name), { recursive: true });
  if (isRoot) spawnSync('chown', ['-R', `${USER}:${USER}`, to]);
}

async function start(stage) {
  const postgres = await startEmbeddedPostgres({ dataDir: join(root, 'postgres') });
  try {
    const { url, ownerUrl } = await createEmbeddedDatabase(postgres, 'accounting');
    const cwd = join(stage.directory, stage.workdir);
    const env = environment({
      ...stage.env,
      PORT,
      DATABASE_URL: url,
      MIGRATION_DATABASE_URL: ownerUrl,
      JWT_ACCESS_SECRET: randomBytes(32).toString('hex'),
    });
    const [program, ...args] = asUser(stage.cmd);
    const service = spawn(program, args, { cwd, env, stdio: 'inherit' });
    const ended = new Promise((done) => service.once('exit', (code) => done(code)));
    let left = false;
    void ended.then(() => (left = true));
    const [probe, ...probeArgs] = asUser(stage.health);
    const deadline = Date.now() + HEALTH_SECONDS * 1000;
    let isHealthy = false;
    while (!isHealthy && !left && Date.now() < deadline)
      isHealthy = spawnSync(probe, probeArgs, { cwd, env }).status === 0;
    service.kill('SIGTERM');
    const code = await ended;
    if (!isHealthy || code !== 0) throw new Error(`healthy: ${isHealthy}, ended with ${code}`);
  } finally {
    await postgres.stop();
  }
}

if (process.argv[2] === undefined || existsSync(root))
  throw new Error('Name a directory that does not exist');
mkdirSync(root, { recursive: true });
if (isRoot) chownSync(root, USER, USER);
const image = build();
const size = spawnSync('du', ['-sm', image.directory], { encoding: 'utf8' }).stdout.split('\t')[0];
await start(image);
process.stdout.write(
  `The steps of the Dockerfile make a service that starts; it takes ${size} MB of its own.\n`,
);
