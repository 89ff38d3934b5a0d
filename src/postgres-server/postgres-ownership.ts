import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMilliseconds } from '../common/monotonic.js';

interface Owner {
  pid: number;
  /** When the process began, so that a pid which was given out again is not taken for it. */
  startedAt: string;
}

/** A living process has claimed the directory. */
export class DirectoryInUse extends Error {}

const NO_OWNER: Owner = { pid: -1, startedAt: '' };
const STOP_SECONDS = 10;
const CLAIM_ATTEMPTS = 40;
const CLAIM_PAUSE_MILLISECONDS = 25;
/** A turn lasts microseconds; one as old as this was left by a process killed in the middle of it. */
const TURN_MILLISECONDS = 500;

/**
 * Claims a data directory for this process. A claim of a process that has died is taken over.
 *
 * @returns gives the claim back
 * @throws DirectoryInUse naming the process that uses the directory
 */
export async function claimDirectory(dataDir: string): Promise<() => Promise<void>> {
  const file = `${dataDir}.owner`;
  const mine = `${file}.${randomUUID()}`;
  const me: Owner = { pid: process.pid, startedAt: startOf(process.pid) ?? '' };
  writeFileSync(mine, JSON.stringify(me), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
      if (linked(mine, file)) return () => rm(file, { force: true });
      const owner = readOwner(file);
      if (owner !== undefined && isAlive(owner)) {
        throw new DirectoryInUse(
          `${dataDir} is in use by process ${owner.pid}. Stop that process, or set EMBEDDED_POSTGRES_DIR to another directory.`,
        );
      }
      removeDeadClaim(file);
      if (attempt > 0) await pause(CLAIM_PAUSE_MILLISECONDS);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  throw new Error(`${file} cannot be claimed: other processes are starting on this directory`);
}

/** Of two starts at one moment one makes the link, and no process ever sees a claim that is half written. */
function linked(mine: string, file: string): boolean {
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Removes the claim of a dead process. By turns, and looking again in one's turn: another process may have removed
 * it and have claimed the directory anew, and that claim must stay.
 */
function removeDeadClaim(file: string): void {
  const turn = `${file}.turn`;
  try {
    mkdirSync(turn);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const since = statSync(turn, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > TURN_MILLISECONDS) rmSync(turn, { recursive: true, force: true });
    return;
  }
  try {
    const owner = readOwner(file);
    // When there is none, one may come at this moment.
    if (owner !== undefined && !isAlive(owner)) rmSync(file, { force: true });
  } finally {
    rmdirSync(turn);
  }
}

function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Owner;
  } catch (error) {
    // The machine lost power before the text was on the disk.
    if (error instanceof SyntaxError) return NO_OWNER;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Makes way for a new server in a directory that is ours: ends a server that a killed service has left running. The
 * file postmaster.pid stays: through it PostgreSQL finds out whether processes of a killed server still use the data.
 */
export async function stopOrphan(dataDir: string): Promise<void> {
  const file = join(dataDir, 'postmaster.pid');
  const pid = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10);
  if (pid > 0) await stopServerOf(pid, dataDir);
  const text = await readFile(file, 'utf8').catch(() => '');
  if (/^-?\d/.test(text)) {
    // A process of that number would stop PostgreSQL: another program by now, or a dead one that its parent has not
    // waited for. The number of PostgreSQL's own parent does not.
    await writeFile(file, text.replace(/^-?\d+/, String(process.pid)));
  } else {
    // An empty one, as a loss of power leaves it, would stop PostgreSQL too.
    await rm(file, { force: true });
  }
}

/** The port of the server that runs on a directory: the fourth line of its postmaster.pid. */
export async function portOf(dataDir: string): Promise<number> {
  const lines = (await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const port = Number(lines[3]);
  if (!(port > 0)) throw new Error(`No server runs on ${dataDir} yet; it may still be starting`);
  return port;
}

async function stopServerOf(pid: number, dataDir: string): Promise<void> {
  if (!isServerOf(pid, dataDir)) return;
  sendSignal(pid, 'SIGINT');
  const impatient = monotonicMilliseconds() + STOP_SECONDS * 1000;
  let quit = false;
  while (isServerOf(pid, dataDir)) {
    if (!quit && monotonicMilliseconds() > impatient) {
      sendSignal(pid, 'SIGQUIT');
      quit = true;
    }
    if (monotonicMilliseconds() > impatient + STOP_SECONDS * 1000) {
      throw new Error(`A PostgreSQL server (process ${pid}) still runs on ${dataDir} and does not stop`);
    }
    await pause(20);
  }
}

/** It may end by itself at the same moment. */
function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A server works in its data directory, by whatever path it was started; where that cannot be seen, the path decides. */
function isServerOf(pid: number, dataDir: string): boolean {
  const command = commandOf(pid);
  if (command === undefined || !command.includes('postgres')) return false;
  if (process.platform !== 'linux') return command.includes(` -D ${dataDir} `);
  try {
    const works = statSync(`/proc/${pid}/cwd`);
    const data = statSync(dataDir);
    return works.ino === data.ino && works.dev === data.dev;
  } catch {
    // It ended just now, or is another user's.
    return false;
  }
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

/** When a process began, in whatever unit the system reports; undefined when there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // Fields after the command's name, which may itself contain blanks and brackets; the 22nd field is the start.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      // Z: dead, and not yet waited for by its parent.
      return fields[0] === 'Z' ? undefined : fields[19];
    }
    if (process.platform === 'win32') return process.kill(pid, 0) ? '' : undefined;
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
