import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

interface Owner {
  pid: number;
  /** When the process began, so that a pid which was given out again is not taken for it. */
  startedAt: string;
}

const STOP_SECONDS = 10;
const CLAIM_ATTEMPTS = 20;

/**
 * Claims a data directory for this process. A claim of a process that has died is taken over.
 *
 * @returns gives the claim back
 * @throws Error naming the process that uses the directory
 */
export async function claimDirectory(dataDir: string): Promise<() => Promise<void>> {
  const file = `${dataDir}.owner`;
  const mine: Owner = { pid: process.pid, startedAt: startOf(process.pid) ?? '' };
  for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
    try {
      // wx: of two starts at one moment, one creates the file.
      await writeFile(file, JSON.stringify(mine), { flag: 'wx', mode: 0o600 });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = await readOwner(file);
    if (owner === 'gone') continue;
    if (owner === 'unreadable' && attempt < CLAIM_ATTEMPTS / 2) {
      // Perhaps it is being written at this moment.
      await pause(10);
      continue;
    }
    if (owner !== 'unreadable' && isAlive(owner)) {
      throw new Error(
        `${dataDir} is in use by process ${owner.pid}. Stop that process, or set EMBEDDED_POSTGRES_DIR to another directory.`,
      );
    }
    // A rename succeeds for one only of those who find the same dead owner.
    const grave = `${file}.${process.pid}`;
    await rename(file, grave).then(
      () => rm(grave, { force: true }),
      () => undefined,
    );
  }
  throw new Error(`${file} cannot be claimed: other processes are starting on this directory`);
}

async function readOwner(file: string): Promise<Owner | 'gone' | 'unreadable'> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return 'gone';
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return 'unreadable';
  }
}

/**
 * Makes way for a new server in a directory that is ours: ends a server that a killed service has left running, and
 * removes a postmaster.pid whose process is another program by now (PostgreSQL would refuse to start for it).
 */
export async function stopOrphan(dataDir: string): Promise<void> {
  const file = join(dataDir, 'postmaster.pid');
  const text = await readFile(file, 'utf8').catch(() => '');
  const pid = Number(text.split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  if (!isServerOf(pid, dataDir)) {
    await rm(file, { force: true });
    return;
  }
  process.kill(pid, 'SIGINT');
  const impatient = Date.now() + STOP_SECONDS * 1000;
  let quit = false;
  while (isServerOf(pid, dataDir)) {
    if (!quit && Date.now() > impatient) {
      process.kill(pid, 'SIGQUIT');
      quit = true;
    }
    if (Date.now() > impatient + STOP_SECONDS * 1000) {
      throw new Error(`A PostgreSQL server (process ${pid}) still runs on ${dataDir} and does not stop`);
    }
    await pause(20);
  }
}

function isServerOf(pid: number, dataDir: string): boolean {
  const command = commandOf(pid);
  return command !== undefined && command.includes('postgres') && command.includes(dataDir);
}

function isAlive(owner: Owner): boolean {
  const startedAt = startOf(owner.pid);
  return startedAt !== undefined && startedAt === owner.startedAt;
}

/** The command line of a living process; undefined when there is none (a zombie has none either). */
function commandOf(pid: number): string | undefined {
  try {
    const command =
      process.platform === 'linux'
        ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return command.trim() === '' ? undefined : command;
  } catch {
    return undefined;
  }
}

/** When a process began, in whatever unit the system tells; undefined when there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // Fields after the command's name, which may itself contain blanks and brackets; the 22nd field is the start.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      // Z: dead, and not yet waited for by its parent.
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
