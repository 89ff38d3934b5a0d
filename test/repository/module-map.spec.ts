import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { expect, it } from 'vitest';

type Edges = Map<string, Set<string>>;

/** What is neither of a module nor a program: the parts of the application put together, and the schema. */
const TOGETHER: [module: string, file: RegExp][] = [
  ['app', /^src\/(app\.\w+\.ts$|sql\/)/],
  ['main', /^src\/main\.ts$/],
  ['ormconfig', /^ormconfig\.ts$/],
  ['migrations', /^migrations\//],
];
/** The queue sends movements to this function by its name, as Nest calls controllers: it may call those of all modules. */
const DISPATCHER = 'movements';
const LINE_LENGTH = 110;

function moduleOf(file: string): string {
  const together = TOGETHER.find(([, files]) => files.test(file));
  return together?.[0] ?? (file.split('/')[1] as string);
}

const sources = ['src', 'migrations']
  .flatMap((directory) =>
    readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((file) => join(directory, file)),
  )
  .concat('ormconfig.ts')
  .filter((file) => /\.(tsx?|sql)$/.test(file))
  .map((file) => ({ file, module: moduleOf(file), text: readFileSync(file, 'utf8') }));
const modules = [...new Set(sources.map(({ module }) => module))].sort();

function edgesOf(targetsOf: (source: (typeof sources)[number]) => string[]): Edges {
  const edges: Edges = new Map(modules.map((module) => [module, new Set()]));
  for (const source of sources)
    for (const target of targetsOf(source))
      if (target !== source.module) edges.get(source.module)?.add(target);
  return edges;
}

const imports = edgesOf(({ file, text }) =>
  file.endsWith('.sql')
    ? []
    : [...text.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^'?]+)'/g)].map(([, path]) =>
        moduleOf(normalize(join(dirname(file), path as string)).replace(/\.js$/, '.ts')),
      ),
);

/** By the name of each SQL function of ours, its module. */
const functions = new Map(
  sources
    .filter(({ file }) => /\/sql\/(operations|internal)\//.test(file))
    .map(({ file, module }) => [basename(file, '.sql'), module]),
);
/** A call in SQL, also within TypeScript, or the declaration of an operation. */
const CALL = /\b([a-z][a-z_]+)\(|\('([a-z][a-z_]+)'\)/g;

const calls = edgesOf(({ text }) =>
  [...text.replace(/--.*|\/\*[^]*?\*\/|^\s*\/\/.*/gm, '').matchAll(CALL)]
    .map(([, called, declared]) => called ?? (declared as string))
    .filter((name) => name !== DISPATCHER)
    .flatMap((name) => functions.get(name) ?? []),
);

/** Each module after those that it needs. @throws when they need each other */
function inOrder(): string[] {
  const order: string[] = [];
  const visit = (module: string, path: string[]): void => {
    if (path.includes(module)) throw new Error(`A circle: ${[...path, module].join(' -> ')}`);
    if (order.includes(module)) return;
    for (const needed of [...needsOf(module)].sort()) visit(needed, [...path, module]);
    order.push(module);
  };
  for (const module of modules) visit(module, []);
  return order;
}

function needsOf(module: string): Set<string> {
  return new Set([...(imports.get(module) ?? []), ...(calls.get(module) ?? [])]);
}

function line(module: string): string {
  const imported = [...(imports.get(module) ?? [])].sort();
  const called = [...(calls.get(module) ?? [])].filter((each) => !imported.includes(each)).sort();
  const inSql = called.length > 0 ? `; in SQL ${called.join(', ')}` : '';
  const width = 20;
  const lines = [''];
  for (const word of `${imported.join(', ') || 'nothing'}${inSql}`.split(' ')) {
    const last = lines.at(-1) as string;
    if (width + last.length + 1 + word.length > LINE_LENGTH) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.map((text, index) => (index === 0 ? module : '').padEnd(width) + text).join('\n');
}

it('modules need each other one way, in TypeScript and in SQL, as docs/architecture.md says', () => {
  const map = inOrder().map(line).join('\n');
  const [, stated] =
    /<!-- module map -->\n+```text\n([^]*?)\n```/.exec(readFileSync('docs/architecture.md', 'utf8')) ?? [];
  expect(stated).toBe(map);
});

it('the linter allows the imports that there are, and no other', async () => {
  const file = new URL('../../.config/eslint.config.js', import.meta.url).href;
  const { MAY_IMPORT } = (await import(file)) as { MAY_IMPORT: Record<string, string[]> };
  const folders = modules.filter((module) => TOGETHER.every(([together]) => together !== module));
  const actual = folders.map((module) => [module, [...(imports.get(module) ?? [])].sort()]);
  expect(MAY_IMPORT).toEqual(Object.fromEntries(actual));
});
