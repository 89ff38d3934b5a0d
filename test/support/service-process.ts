import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The service as a process of its own, with everything it has said. */
export interface ServiceProcess {
  /** `http://127.0.0.1:port` */
  url: string;
  pid: number;
  /** Standard output and standard error until now. */
  output(): string;
  /** Ends it by SIGTERM and returns its exit code. */
  stop(): Promise<number | null>;
}

/** The service compiled into a directory of its own: the build in `dist` may be of yesterday. */
export interface CompiledService {
  directory: string;
  /** Starts it, or another file of its directory; fails with what it said when it does not become ready. */
  start(env: Record<string, string>, file?: string): Promise<ServiceProcess>;
  /** Runs it, or another program with its arguments, until it ends by itself, as the service does when it cannot start. */
  run(
    env: Record<string, string>,
    ...program: string[]
  ): Promise<{ exitCode: number | null; output: string }>;
  remove(): Promise<void>;
}

export async function compileService(): Promise<CompiledService> {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-service-'));
  for (const part of ['src', 'migrations']) {
    for (const name of await readdir(join(ROOT, part), { recursive: true })) {
      if (name.endsWith('.sql')) await copy(join(part, name), directory);
      // What runs in a browser has a build of its own.
      if (name.startsWith(join('console', 'web'))) continue;
      if (name.endsWith('.ts') && !name.endsWith('.spec.ts')) await compile(join(part, name), directory);
    }
  }
  await compile('ormconfig.ts', directory);
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }');
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return {
    directory,
    start: (env, file) => start(directory, env, file),
    run: async (env, ...program) => {
      const { child, output } = launch(directory, env, program);
      const exitCode = await exitOf(child);
      return { exitCode, output: output() };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function compile(source: string, directory: string): Promise<void> {
  const { outputText } = ts.transpileModule(await readFile(join(ROOT, source), 'utf8'), {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2023,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
      useDefineForClassFields: false,
    },
  });
  const file = join(directory, source.replace(/\.ts$/, '.js'));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, outputText);
}

async function copy(file: string, directory: string): Promise<void> {
  await mkdir(dirname(join(directory, file)), { recursive: true });
  await cp(join(ROOT, file), join(directory, file));
}

function launch(directory: string, env: Record<string, string>, program: string[] = []) {
  const [file = 'src/main.js', ...args] = program;
  // Nothing of the test's own environment but where programs are.
  const child = spawn(process.execPath, [resolve(directory, file), ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  }
  return { child, output: () => said };
}

const exitOf = (child: ChildProcess) =>
  new Promise<number | null>((done) => child.once('close', (code) => done(code)));

async function start(
  directory: string,
  env: Record<string, string>,
  file = 'src/main.js',
): Promise<ServiceProcess> {
  const { child, output } = launch(directory, env, [file]);
  const ended = exitOf(child);
  const port = await new Promise<string>((ready, fail) => {
    child.stdout.on('data', () => {
      const found = /http:\/\/localhost:(\d+)\/api\n/.exec(output());
      if (found) ready(found[1] as string);
    });
    void ended.then((code) => fail(new Error(`The service ended with ${code}: ${output()}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid as number,
    output,
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
}
