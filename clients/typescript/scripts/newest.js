/**
 * Checks types and runs all tests with today's majors of the SDKs, which want Node 22, on the Node 24 of the package
 * `node@24`. It works on a copy in a temporary directory.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEWEST = {
  openai: '^7.0.0',
  ai: '^7.0.0',
  '@ai-sdk/openai': '^4.0.0',
  '@ai-sdk/anthropic': '^4.0.0',
  [`node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`]: '^24.0.0',
};
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'accounting-newest-'));
const copy = join(root, 'clients/typescript');
const [, , ...filters] = process.argv;

try {
  // The tests start the built service beside them.
  for (const name of ['dist', 'node_modules', 'package.json', 'openapi.json'])
    symlinkSync(join(ROOT, name), join(root, name));
  mkdirSync(join(root, 'clients'));
  for (const name of ['testing', 'typescript'])
    cpSync(join(ROOT, 'clients', name), join(root, 'clients', name), { recursive: true, filter: isSource });
  const manifest = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8'));
  manifest.devDependencies = { ...manifest.devDependencies, ...NEWEST };
  writeFileSync(join(copy, 'package.json'), JSON.stringify(manifest));
  run('npm', ['install', '--no-audit', '--no-fund']);
  const node = join(copy, 'node_modules', Object.keys(NEWEST).at(-1), 'bin/node');
  for (const name of ['openai', 'ai', '@anthropic-ai/sdk'])
    process.stdout.write(
      `${name} ${JSON.parse(readFileSync(join(copy, 'node_modules', name, 'package.json'))).version}\n`,
    );
  run(node, ['--version']);
  run(node, ['node_modules/typescript/bin/tsc', '--noEmit']);
  run(node, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  run(node, ['node_modules/vitest/vitest.mjs', 'run', ...filters]);
} finally {
  rmSync(root, { recursive: true, force: true });
}

function isSource(path) {
  return !['node_modules', 'dist', 'package-lock.json'].includes(basename(path));
}

function run(program, args) {
  execFileSync(program, args, { cwd: copy, stdio: 'inherit' });
}
