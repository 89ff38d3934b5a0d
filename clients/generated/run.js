/**
 * Generates a client in each language of README.md here, compiles it, and plays its lines against a service that is started
 * for it, with a database of its own. The commands and the lines are those of README.md.
 *
 *   npm run test:generated [-- go rust …]
 *
 * Tools are installed into node_modules/.cache/generated-clients and stay there. A language whose toolchain is missing is
 * left out, and the output says why; with CLIENTS_REQUIRED=1 that is a failure.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const TOOLS = join(ROOT, 'node_modules/.cache/generated-clients');
const WORK = mkdtempSync(join(tmpdir(), 'generated-clients-'));
const README = readFileSync(join(HERE, 'README.md'), 'utf8');
const COMMAND_MINUTES = 10;
const START_SECONDS = 60;

/** Of openapi-generator; the others take the newest of their major version. */
const OPENAPI_GENERATOR = '7.25.0';
/** 200,000 credits, of which 700 tokens at 100 credits each are charged. */
const ALLOCATED = 200_000;
const LEFT = 130_000;
const EXPECTED = ['held 120000', 'stop false', 'returned 50000', 'missing 5999870000'];

const INSTALL = {
  generator: {
    needs: ['java', 'mvn'],
    commands: [
      `mvn -q -B dependency:copy -Dartifact=org.openapitools:openapi-generator-cli:${OPENAPI_GENERATOR} -DoutputDirectory=.`,
      `printf '#!/bin/sh\\nexec java -jar "%s/openapi-generator-cli-${OPENAPI_GENERATOR}.jar" "$@"\\n' "$PWD" > bin/openapi-generator`,
      'chmod +x bin/openapi-generator',
    ],
  },
  python: {
    needs: ['python3'],
    programs: 'venv/bin',
    commands: [
      'python3 -m venv venv',
      "venv/bin/pip install -q --disable-pip-version-check 'openapi-python-client==0.*' httpx attrs pydantic python-dateutil urllib3 typing-extensions",
    ],
  },
  go: {
    needs: ['go'],
    commands: ['GOBIN="$PWD/bin" go install github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@latest'],
  },
  rust: { needs: ['cargo'], commands: [] },
  typescript: {
    needs: ['npm'],
    programs: 'node_modules/.bin',
    // hey-api and orval want Node 22, which the package `node` brings along.
    commands: [
      'npm init -y > /dev/null',
      'npm i --silent --no-audit --no-fund node@24 @hey-api/openapi-ts@0 orval@8 openapi-typescript@7 openapi-fetch@0 typescript@5 @types/node@20',
    ],
  },
};

const TYPESCRIPT = (before = '') => ({
  tools: ['typescript'],
  file: 'session.ts',
  program: (text) => `const [url = '', key = '', user = ''] = process.argv.slice(2);\n${before}${text}`,
  prepare: [
    'ln -s "$TOOLS/typescript/node_modules" node_modules',
    'tsc --noEmit --strict --skipLibCheck --target es2023 --module preserve --types node session.ts',
    'esbuild session.ts --bundle --platform=node --format=esm --outfile=session.mjs --log-level=warning',
  ],
  run: ['node', 'session.mjs'],
});

/** By the headings of README.md. `run` gets the address, the key and the user as arguments. */
const LANGUAGES = {
  'Python, by openapi-python-client': {
    tools: ['python'],
    file: 'session.py',
    program: (text) => `import sys\nurl, key, user = sys.argv[1:]\n${text}`,
    prepare: ['python -m compileall -q accounting'],
    run: ['python', 'session.py'],
  },
  'Python, by openapi-generator': {
    tools: ['python', 'generator'],
    file: 'session.py',
    program: (text) => `import sys\nurl, key, user = sys.argv[1:]\n${text}`,
    prepare: ['python -m compileall -q accounting'],
    run: ['python', 'session.py'],
  },
  'Go, by oapi-codegen': {
    tools: ['go'],
    file: 'main.go',
    program: (text) =>
      'package main\nimport (\n\t"context"\n\t"fmt"\n\t"log"\n\t"net/http"\n\t"os"\n\t"session/accounting"\n)\n' +
      `func main() {\n\tctx := context.Background()\n\turl, key, user := os.Args[1], os.Args[2], os.Args[3]\n${text}}\n`,
    prepare: ['go mod init session', 'go mod tidy', 'go vet .', 'go build -o session .'],
    run: ['./session'],
  },
  'Java, by openapi-generator': {
    tools: ['generator'],
    file: 'src/main/java/Session.java',
    program: (text) =>
      'import org.openapitools.client.*;\nimport org.openapitools.client.api.*;\nimport org.openapitools.client.model.*;\n' +
      `public class Session { public static void main(String[] given) throws Exception {\nString url = given[0], key = given[1], user = given[2];\n${text}}}\n`,
    prepare: ['mvn -q -B compile dependency:build-classpath -Dmdep.outputFile=classpath'],
    run: ['sh', '-c', 'exec java -cp "target/classes:$(cat classpath)" Session "$@"', 'session'],
  },
  'Rust, by openapi-generator': {
    tools: ['rust', 'generator'],
    file: 'examples/session.rs',
    program: (text) =>
      'use accounting::{apis::{configuration::*, streaming_sessions_api::*, Error}, models::*};\n' +
      '#[tokio::main]\nasync fn main() -> Result<(), Box<dyn std::error::Error>> {\n' +
      'let [url, key, user] = std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("three arguments");\n' +
      `${text}Ok(())\n}\n`,
    prepare: [
      `printf '\\n[dev-dependencies]\\ntokio = { version = "1", features = ["macros", "rt-multi-thread"] }\\n' >> Cargo.toml`,
      'CARGO_TARGET_DIR="$TOOLS/rust/target" CARGO_PROFILE_DEV_DEBUG=0 cargo build --quiet --example session',
      'cp "$TOOLS/rust/target/debug/examples/session" session',
    ],
    run: ['./session'],
  },
  'TypeScript, by openapi-typescript': TYPESCRIPT(),
  'TypeScript, by hey-api': TYPESCRIPT(),
  // Its functions ask for paths of the same origin.
  'TypeScript, by orval': TYPESCRIPT(
    'const send = fetch;\nglobalThis.fetch = (path, init) => send(new URL(String(path), url), init);\n',
  ),
};

const wanted = process.argv.slice(2).map((word) => word.toLowerCase());
const chosen = Object.entries(LANGUAGES).filter(
  ([name]) => wanted.length === 0 || wanted.some((word) => name.toLowerCase().includes(word)),
);

const run = (command, directory, path = process.env.PATH) =>
  promisify(execFile)('bash', ['-euc', command], {
    cwd: directory,
    env: { ...process.env, PATH: path, TOOLS },
    timeout: COMMAND_MINUTES * 60_000,
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error) => {
    throw new Error(`${command}\n${error.stdout ?? ''}${error.stderr ?? error.message}`.slice(-4000));
  });

const isThere = (program) => spawnSync(program, ['--version']).error === undefined;

/** Installs what is not installed yet. Its commands are kept beside it: with others it is installed anew. */
async function install(name) {
  const directory = join(TOOLS, name);
  const { commands } = INSTALL[name];
  const done = join(directory, 'installed');
  if (existsSync(done) && readFileSync(done, 'utf8') === commands.join('\n')) return;
  mkdirSync(join(directory, 'bin'), { recursive: true });
  for (const command of commands) await run(command, directory);
  writeFileSync(done, commands.join('\n'));
}

/** The command and the lines of a section of README.md. */
function sectionOf(name) {
  const section = README.split(/^## /m).find((each) => each.startsWith(`${name}\n`)) ?? '';
  const [generate, lines] = [...section.matchAll(/^```\w+\n([^]*?)^```$/gm)].map(([, text]) => text);
  if (lines === undefined) throw new Error(`README.md has no command and lines for ${name}`);
  return { generate, lines };
}

async function play(name, { tools, file, program, prepare, run: command }, service) {
  const { generate, lines } = sectionOf(name);
  const directory = join(WORK, name.replace(/\W+/g, '-'));
  const path = [
    ...tools.map((tool) => join(TOOLS, tool, INSTALL[tool].programs ?? 'bin')),
    process.env.PATH,
  ].join(delimiter);
  mkdirSync(dirname(join(directory, file)), { recursive: true });
  cpSync(join(ROOT, 'openapi.json'), join(directory, 'openapi.json'));
  await run(generate, directory, path);
  // The generator has made its own examples beside.
  mkdirSync(dirname(join(directory, file)), { recursive: true });
  writeFileSync(join(directory, file), program(lines));
  for (const step of prepare) await run(step, directory, path);
  const user = `user-${randomBytes(4).toString('hex')}`;
  await service.post('/api/credits/allocate', { userId: user, credits: ALLOCATED });
  const parts = [...command, service.url, service.key, user].map((part) => `'${part}'`).join(' ');
  const { stdout } = await run(parts, directory, path);
  const said = stdout
    .trim()
    .split('\n')
    .map((line) => line.toLowerCase());
  if (said.join() !== EXPECTED.join())
    throw new Error(`It printed ${said.join('; ')}, not ${EXPECTED.join('; ')}`);
  const { availableCredits } = await service.post('/api/credits/check', {
    requiredCredits: LEFT,
    userId: user,
  });
  if (availableCredits !== LEFT) throw new Error(`It left ${availableCredits} credits, not ${LEFT}`);
}

/** The built service on a free port, with a database in the work folder. */
async function startService() {
  const port = await new Promise((found) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
  const url = `http://127.0.0.1:${port}`;
  const key = randomBytes(32).toString('hex');
  const environment = {
    ...process.env,
    PORT: String(port),
    JWT_ACCESS_SECRET: randomBytes(32).toString('hex'),
    INTERNAL_API_KEY: key,
    EMBEDDED_POSTGRES_DIR: join(WORK, 'postgres'),
    LOG_LEVEL: 'error',
  };
  const main = join(ROOT, 'dist/src/main.js');
  const child = spawn(process.execPath, [main], { env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise((exit) => child.once('exit', exit));
  const stop = () => child.kill('SIGTERM') && ended;
  for (let waited = 0; !(await fetch(`${url}/health/ready`).catch(() => ({}))).ok; waited++) {
    if (child.exitCode !== null || waited > START_SECONDS * 2) throw new Error('the service did not start');
    await pause(500);
  }
  const token = join(ROOT, 'dist/src/cli/token.js');
  const admin = await promisify(execFile)(process.execPath, [token, '--sub', 'root', '--role', 'admin'], {
    env: environment,
  });
  const post = async (path, body) => {
    const answer = await fetch(url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headersFor(path) },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
    return answer.json();
  };
  const headersFor = (path) =>
    path === '/api/credits/check'
      ? { 'X-Internal-API-Key': key }
      : { Authorization: `Bearer ${admin.stdout.trim()}` };
  await post('/api/pricing', { modelId: 'demo-model', pricePerThousandTokens: '100000' });
  return { url, key, post, stop };
}

let failed = 0;
let service;
try {
  service = await startService();
  for (const [name, language] of chosen) {
    const begun = Date.now();
    const seconds = () => `${((Date.now() - begun) / 1000).toFixed(1)} s`;
    const missing = language.tools.flatMap((tool) => INSTALL[tool].needs).filter((each) => !isThere(each));
    if (missing.length > 0) {
      console.log(`SKIPPED ${name}: not installed: ${missing.join(', ')}`);
      if (process.env.CLIENTS_REQUIRED === '1') failed++;
      continue;
    }
    try {
      for (const tool of language.tools) await install(tool);
      await play(name, language, service);
      console.log(`passed  ${name} (${seconds()})`);
    } catch (error) {
      failed++;
      console.log(`FAILED  ${name} (${seconds()})\n${error.message}`);
    }
  }
} finally {
  await service?.stop();
  rmSync(WORK, { recursive: true, force: true });
}
process.exitCode = failed > 0 || chosen.length === 0 ? 1 : 0;
