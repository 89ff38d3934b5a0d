/**
 * Checks types and runs all tests with other versions of the SDKs, in a copy in a temporary directory:
 *
 *     node scripts/with-sdks.js newest      today's majors, which want Node 22, on the Node 24 of the package `node@24`
 *     node scripts/with-sdks.js oldest      the first versions that the package allows, on this Node
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_24 = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
const VERSIONS = {
  newest: {
    openai: '^7.0.0',
    ai: '^7.0.0',
    '@ai-sdk/openai': '^4.0.0',
    '@ai-sdk/anthropic': '^4.0.0',
    [NODE_24]: '^24.0.0',
  },
  oldest: {
    openai: '6.0.0',
    ai: '6.0.0',
    '@ai-sdk/openai': '3.0.0',
    '@ai-sdk/anthropic': '3.0.0',
    '@anthropic-ai/sdk': '0.90.0',
    'js-tiktoken': '1.0.20',
  },
};
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'accounting-sdks-'));
const copy = join(root, 'clients/typescript');
const [, , wanted, ...filters] = process.argv;

try {
  // The tests start the built service beside them.
  for (const name of ['dist', 'node_modules', 'package.json', 'openapi.json'])
    symlinkSync(join(ROOT, name), join(root, name));
  mkdirSync(join(root, 'clients'));
  for (const name of ['testing', 'typescript'])
    cpSync(join(ROOT, 'clients', name), join(root, 'clients', name), { recursive: true, filter: isSource });
  const manifest = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8'));
  manifest.devDependencies = { ...manifest.devDependencies, ...VERSIONS[wanted] };
  writeFileSync(join(copy, 'package.json'), JSON.stringify(manifest));
  if (VERSIONS[wanted] === undefined)
    throw new Error(`Not one of ${Object.keys(VERSIONS).join(', ')}: ${wanted}`);
  run('npm', ['install', '--no-audit', '--no-fund']);
  const node = wanted === 'newest' ? join(copy, 'node_modules', NODE_24, 'bin/node') : process.execPath;
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
