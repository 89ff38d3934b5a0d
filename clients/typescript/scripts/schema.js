/**
 * Writes src/schema.ts: the types of the routes that the client calls, from the service's openapi.json.
 *
 *     node scripts/schema.js            writes it
 *     node scripts/schema.js --check    fails when it differs, for CI
 */
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';
import { format } from 'prettier';

const DOCUMENT = new URL('../../../openapi.json', import.meta.url);
const TARGET = new URL('../src/schema.ts', import.meta.url);
const ROUTES = [
  '/api/streaming-sessions/initialize',
  '/api/streaming-sessions/progress',
  '/api/streaming-sessions/finalize',
  '/api/streaming-sessions/abort',
  '/api/usage/charge',
];

const document = JSON.parse(await readFile(DOCUMENT, 'utf8'));
const paths = Object.fromEntries(ROUTES.map((route) => [route, document.paths[route]]));
const types = await openapiTS({ ...document, paths, components: referenced(paths, document.components) });
const header = '/** Generated from openapi.json by scripts/schema.js. Do not edit. */\n\n';
const text = await format(header + astToString(types), {
  parser: 'typescript',
  printWidth: 110,
  singleQuote: true,
});

if (!process.argv.includes('--check')) {
  await writeFile(TARGET, text);
} else if ((await readFile(TARGET, 'utf8')) !== text) {
  process.stderr.write('src/schema.ts differs from openapi.json: run `npm run schema`\n');
  process.exitCode = 1;
}

/** The components that these need, and what those need. Examples are no types, but references to them must resolve. */
function referenced(root, components) {
  const found = {};
  const visit = (value) => {
    if (value === null || typeof value !== 'object') return;
    const [, kind, name] = /^#\/components\/(\w+)\/(.+)$/.exec(value.$ref ?? '') ?? [];
    if (kind !== undefined && found[kind]?.[name] === undefined) {
      found[kind] ??= {};
      found[kind][name] = kind === 'examples' ? { value: null } : components[kind][name];
      visit(found[kind][name]);
    }
    Object.values(value).forEach(visit);
  };
  visit(root);
  return found;
}
