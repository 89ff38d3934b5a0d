import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Launcher, ownedByLauncher } from './postgres-user.js';

/** One name for one directory: two paths to it (a symbolic link) would be two claims. */
export async function realDirectory(path: string): Promise<string> {
  const dataDir = resolve(path);
  if (existsSync(dataDir)) return realpath(dataDir);
  await mkdir(dirname(dataDir), { recursive: true });
  return join(await realpath(dirname(dataDir)), basename(dataDir));
}

const passwordFile = (dataDir: string) => `${dataDir}.password`;

/**
 * Whether the data is there. Nothing that we have not made is ever used, changed or removed: data becomes ours only by
 * the rename of a finished directory into an empty place, and its password is written before that.
 *
 * @throws Error when something else is in the place
 */
export async function isInitialised(dataDir: string): Promise<boolean> {
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new Error(`${dataDir} cannot be used as the database's directory: ${error.message}`);
  });
  if (entries.length === 0) return false;
  const hasPassword = existsSync(passwordFile(dataDir));
  if (hasPassword && entries.includes('PG_VERSION')) return true;
  throw new Error(
    hasPassword || !entries.includes('PG_VERSION')
      ? `${dataDir} is not empty and holds no database of this service. Set EMBEDDED_POSTGRES_DIR to a new directory.`
      : `${dataDir} holds a PostgreSQL database without the file ${passwordFile(dataDir)}, so this service has not made it. ` +
          'Bring that file back if the directory was moved, or set EMBEDDED_POSTGRES_DIR to a new directory.',
  );
}

/** The superuser's password, kept beside the data for the present user alone; made when there is none. */
export async function superuserPassword(dataDir: string): Promise<string> {
  const file = passwordFile(dataDir);
  if (!existsSync(file)) {
    const password = randomBytes(32).toString('base64url');
    // Never half written, and on the disk before the data that can be reached by it alone.
    await writeFile(`${file}.new`, password, { mode: 0o600, flush: true });
    await rename(`${file}.new`, file);
  }
  return (await readFile(file, 'utf8')).trim();
}

const unfinishedPrefix = (dataDir: string) => `${dataDir}.initializing-`;

/** What killed starts have left. An initdb may still be at work there, so it is tried again, and a later start tries too. */
export async function removeUnfinished(dataDir: string): Promise<void> {
  const prefix = basename(unfinishedPrefix(dataDir));
  for (const name of await readdir(dirname(dataDir))) {
    if (!name.startsWith(prefix)) continue;
    await rm(join(dirname(dataDir), name), {
      recursive: true,
      force: true,
      maxRetries: 10,
      retryDelay: 20,
    }).catch(() => undefined);
  }
}

/**
 * initdb into a directory beside, then a rename: a start that was killed in the middle leaves nothing half-made. The
 * name is new each time, because the initdb of a killed start goes on, and clears its directory when it fails.
 */
export async function initialise(
  initdb: string,
  launcher: Launcher,
  dataDir: string,
  superuser: string,
  password: string,
): Promise<void> {
  const unfinished = await mkdtemp(unfinishedPrefix(dataDir));
  try {
    await writeFile(join(unfinished, 'password'), password, { mode: 0o600 });
    await ownedByLauncher(launcher, unfinished);
    await run(launcher, initdb, [
      `--pgdata=${join(unfinished, 'data')}`,
      `--username=${superuser}`,
      `--pwfile=${join(unfinished, 'password')}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--no-locale',
    ]);
    // Only an empty directory can be removed like this.
    if (existsSync(dataDir)) await rmdir(dataDir);
    await rename(join(unfinished, 'data'), dataDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    throw new Error(`${dataDir} is a mount point. Set EMBEDDED_POSTGRES_DIR to a directory inside of it.`);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

function run(launcher: Launcher, command: string, args: string[]): Promise<void> {
  return new Promise((done, fail) => {
    const [program, ...rest] = [...launcher.prefix, command, ...args];
    const child = spawn(program as string, rest, {
      ...launcher.ids,
      // As the server: Ctrl-C reaches the service alone.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: '/',
    });
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
    child.once('error', fail);
    child.once('close', (code) =>
      code === 0 ? done() : fail(new Error(`${command} failed: ${output.trim()}`)),
    );
  });
}
