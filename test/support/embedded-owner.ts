import { type ChildProcess, fork } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = 'test/support/embedded-owner.program.ts';

/** How to reach an embedded server. */
export interface Reachable {
  readonly port: number;
  readonly password: string;
  readonly pid: number;
}

/** A process that owns an embedded server, or was refused one. */
export interface Owner {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Resolves when the process said how its start went, or ended without a word. */
  readonly outcome: Promise<{ server?: Reachable; refused?: string }>;
  readonly ended: Promise<void>;
}

/**
 * Compiles the owner's program and what it needs into a directory: node runs no TypeScript, and the build in `dist` may
 * be of yesterday.
 *
 * @returns the program's file
 */
export async function compileOwner(directory: string): Promise<string> {
  const sources = (await readdir(join(ROOT, 'src/database')))
    .filter((name) => name !== 'open-database.ts')
    .map((name) => `src/database/${name}`);
  for (const source of [...sources, PROGRAM]) {
    const { outputText } = ts.transpileModule(await readFile(join(ROOT, source), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    });
    const file = compiled(directory, source);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, outputText);
  }
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return compiled(directory, PROGRAM);
}

const compiled = (directory: string, source: string) => join(directory, source.replace(/\.ts$/, '.js'));

/** Starts an owner of a data directory, as another user when ids are given. */
export function startOwner(
  program: string,
  dataDir: string,
  ids: { uid?: number; gid?: number } = {},
): Owner {
  const child = fork(program, [dataDir], { ...ids, execArgv: [], cwd: '/' });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const outcome = new Promise<{ server?: Reachable; refused?: string }>((done, fail) => {
    child.once('message', (message) => done(message as { server?: Reachable; refused?: string }));
    child.once('error', fail);
    void ended.then(() => done({}));
  });
  return { process: child, pid: child.pid as number, outcome, ended };
}
