/** Packs the package, installs it in an empty directory, and runs the first example of the README there. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startProvider } from '../../testing/provider.js';
import { startService } from '../../testing/service.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'accounting-package-'));
const [service, provider] = [await startService(), await startProvider()];
try {
  const [{ filename, files }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', directory], {
      cwd: PACKAGE,
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', `./${filename}`, 'openai@6', 'js-tiktoken'], {
    cwd: directory,
  });
  const [, example] = /```js\n(.*?)```/s.exec(readFileSync(join(PACKAGE, 'README.md'), 'utf8'));
  writeFileSync(join(directory, 'example.js'), example);
  // A credit for each token.
  const price = { litellm_provider: 'openai', input_cost_per_token: 0.001, output_cost_per_token: 0.001 };
  await asAdmin('/pricing/import', { 'gpt-4o-mini': price });
  await asAdmin('/credits/allocate', { userId: 'alice', credits: 20 });
  const first = await runExample();
  expect(first, /^stopped after 0 tokens: credits.insufficient$/m);
  await asAdmin('/credits/allocate', { userId: 'alice', credits: 1000 });
  const second = await runExample();
  expect(second, /the that and with/);
  const names = files.map(({ path }) => path);
  expect(names.join('\n'), /^dist\/index\.d\.ts$/m);
  if (names.some((name) => /test|scripts|\.ts$/.test(name) && !name.endsWith('.d.ts')))
    throw new Error(names.join('\n'));
  process.stdout.write(`${filename}: ${names.length} files; the README's example ran\n`);
} finally {
  await service.stop();
  await provider.stop();
  rmSync(directory, { recursive: true, force: true });
}

async function asAdmin(path, body) {
  const response = await fetch(`${service.url}/api${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${service.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
}

async function runExample() {
  const env = {
    PATH: process.env.PATH,
    OPENAI_API_KEY: 'any',
    OPENAI_BASE_URL: `${provider.url}/v1`,
    ACCOUNTING_URL: service.url,
    ACCOUNTING_KEY: service.internalApiKey,
  };
  const { stdout } = await promisify(execFile)(process.execPath, ['example.js'], { cwd: directory, env });
  return stdout;
}

function expect(text, pattern) {
  if (!pattern.test(text)) throw new Error(`${pattern} is not in:\n${text}`);
}
