import 'reflect-metadata';
import { readFileSync, writeFileSync } from 'node:fs';
import { describeApi } from '../app.setup.js';

const FILE = 'openapi.json';

/** Writes the OpenAPI document; with `--check` it only compares, and fails when the committed file is out of date. */
async function main(): Promise<void> {
  const document = `${JSON.stringify(await describeApi(), null, 2)}\n`;
  if (!process.argv.includes('--check')) return writeFileSync(FILE, document);
  if (readFileSync(FILE, 'utf8') !== document) throw new Error(`${FILE} is out of date: npm run openapi`);
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
