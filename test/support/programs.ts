import { type ChildProcess, fork, type ForkOptions } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A process of its own, which can be killed, and which says one thing about how its work went. */
export interface Program<Answer> {
  readonly process: ChildProcess;
  readonly pid: number;
  /** What it said; undefined when it ended without a word. */
  readonly answer: Promise<Answer | undefined>;
  readonly ended: Promise<void>;
}

/**
 * Compiles `test/support/*.program.ts`, and what they need of `src`, into a directory: node runs no TypeScript,
 * and the build in `dist` may be of yesterday.
 */
export async function compilePrograms(directory: string): Promise<void> {
  const sources = [
    ...(await sourcesIn('src/postgres-server')).filter((file) => !file.endsWith('open-database.ts')),
    'src/common/monotonic.ts',
    ...(await sourcesIn('test/support')).filter((file) => file.endsWith('.program.ts')),
  ];
  for (const source of sources) {
    const { outputText } = ts.transpileModule(await readFile(join(ROOT, source), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    });
    const file = join(directory, source.replace(/\.ts$/, '.js'));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, outputText);
  }
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
}

const sourcesIn = async (path: string) => (await readdir(join(ROOT, path))).map((name) => `${path}/${name}`);

/**
 * Starts one of the compiled programs.
 *
 * @param name as in `test/support/<name>.program.ts`
 * @param how another user to run it as, or another program to run it through
 */
export function startProgram<Answer>(
  directory: string,
  name: string,
  args: string[],
  how: ForkOptions = {},
): Program<Answer> {
  const file = join(directory, `test/support/${name}.program.js`);
  const child = fork(file, args, { execArgv: [], cwd: '/', ...how });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const answer = new Promise<Answer | undefined>((done, fail) => {
    child.once('message', (message) => done(message as Answer));
    child.once('error', fail);
    void ended.then(() => done(undefined));
  });
  return { process: child, pid: child.pid as number, answer, ended };
}
