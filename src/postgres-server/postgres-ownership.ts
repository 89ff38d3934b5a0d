import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMilliseconds } from '../common/monotonic.js';

interface Owner {
  /** As its own container counts, so it is for messages only wherever there are FIFOs. */
  pid: number;
  /** The FIFO beside the claim that the process holds open for as long as it lives; Windows has none. */
  fifo?: string;
}

/** A living process has claimed the directory. */
export class DirectoryInUse extends Error {}

const NO_OWNER: Owner = { pid: -1 };
const HAS_FIFOS = process.platform !== 'win32';
const STOP_SECONDS = 10;
/** How long the processes of a killed server may take to notice that it is gone. */
const LEFTOVER_SECONDS = 10;
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
  const fifo = `${mine}.alive`;
  const held = HAS_FIFOS ? holdOpen(fifo) : undefined;
  const letGo = () => {
    rmSync(fifo, { force: true });
    if (held !== undefined) closeSync(held);
  };
  let isMine = false;
  const me: Owner = { pid: process.pid, ...(HAS_FIFOS ? { fifo: basename(fifo) } : {}) };
  try {
    writeFileSync(mine, JSON.stringify(me), { mode: 0o600 });
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
      isMine = linked(mine, file);
      if (isMine)
        return async () => {
          // Unless another process has taken the place: its claim stays.
          if (readOwner(file)?.fifo === me.fifo) await rm(file, { force: true });
          letGo();
        };
      const owner = readOwner(file);
      if (owner !== undefined && isAlive(owner, file)) {
        throw new DirectoryInUse(
          `${dataDir} is in use by process ${owner.pid}. Stop that process, or set EMBEDDED_POSTGRES_DIR to another directory. ` +
            'In a container of its own, that is the number which the container gives it.',
        );
      }
      removeDeadClaim(file);
      if (attempt > 0) await pause(CLAIM_PAUSE_MILLISECONDS);
    }
  } finally {
    rmSync(mine, { force: true });
    if (!isMine) letGo();
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
    // In either direction: the clock may have been put back since.
    if (Math.abs(Date.now() - since) > TURN_MILLISECONDS) rmSync(turn, { recursive: true, force: true });
    return;
  }
  try {
    const owner = readOwner(file);
    // When there is none, one may come at this moment.
    if (owner === undefined || isAlive(owner, file)) return;
    rmSync(file, { force: true });
    if (owner.fifo !== undefined) rmSync(join(dirname(file), owner.fifo), { force: true });
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
  await untilServerHasGone(dataDir);
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

const serverFifo = (dataDir: string) => `${dataDir}.server`;

/**
 * Marks a directory as used by a server for as long as any of its processes lives. Its processes inherit the file that this
 * returns; this process closes it when it has started them.
 *
 * @returns undefined on Windows, which has no such files
 */
export function markServer(dataDir: string): number | undefined {
  return HAS_FIFOS ? holdOpen(serverFifo(dataDir)) : undefined;
}

/** Removes the mark of a server that has ended; processes that a killed one has left keep theirs. */
export function removeServerMark(dataDir: string): void {
  const fifo = serverFifo(dataDir);
  if (HAS_FIFOS && !isHeldOpen(fifo)) rmSync(fifo, { force: true });
}

/**
 * PostgreSQL itself finds processes of an earlier server only within one container. It takes a moment until those of a
 * killed server have noticed that.
 */
async function untilServerHasGone(dataDir: string): Promise<void> {
  const deadline = monotonicMilliseconds() + LEFTOVER_SECONDS * 1000;
  while (HAS_FIFOS && isHeldOpen(serverFifo(dataDir))) {
    if (monotonicMilliseconds() > deadline) {
      throw new Error(
        `A PostgreSQL server without its service still runs on ${dataDir}, perhaps in another container. Stop it first.`,
      );
    }
    await pause(20);
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

function isAlive({ pid, fifo }: Owner, file: string): boolean {
  if (fifo !== undefined) return isHeldOpen(join(dirname(file), fifo));
  try {
    return !HAS_FIFOS && process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * Opens a FIFO for reading, and makes it when there is none; only closing it, or the end of this process, undoes that.
 * Process numbers say nothing about another container on the same directory; what the kernel knows of a file holds for all
 * of one host.
 */
function holdOpen(fifo: string): number {
  if (!isFifo(fifo)) {
    rmSync(fifo, { force: true });
    execFileSync('mkfifo', ['-m', '600', fifo]);
  }
  return openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** Whether a living process has the FIFO open: the kernel refuses a writer where there is no reader. */
function isHeldOpen(fifo: string): boolean {
  if (!isFifo(fifo)) return false;
  try {
    closeSync(openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if (['ENXIO', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

/** A copy of the directory may have an ordinary file in its place, which holds nothing. */
const isFifo = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFIFO() ?? false;

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
