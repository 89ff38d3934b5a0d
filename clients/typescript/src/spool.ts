import {
  closeSync,
  existsSync,
  fsync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { misuse } from './errors.js';

/** A file of this size in which everything is done begins anew. */
const COMPACT_BYTES = 1_000_000;

/** One settlement that must reach the service; it is repeated until the service answers. */
export interface Settlement {
  /** Account, user and session as one text. */
  id: string;
  route: 'finalize' | 'abort';
  body: Record<string, unknown>;
  /** Body of `POST /usage/charge` where the service has no session of that id: the call was let through. */
  charge?: Record<string, unknown> | undefined;
  /** Credits that a call without a hold counts for against `maxCredits`. */
  assumedCredits?: number | undefined;
}

/**
 * Settlements in a file, so that they survive the process. Each is a line, synced to the disk before it is sent; a second
 * line marks it done. A later line of the same id replaces the earlier one. One process uses a file at a time.
 */
export class Spool {
  private readonly path: string;
  private file: number | undefined;
  private readonly pending = new Map<string, Settlement>();
  private waiting: { line: string; written: () => void; failed: (error: Error) => void }[] = [];
  private isWriting = false;
  /** Whether the file may end within a line: a full disk takes a part of what is written. */
  private isTorn = true;
  private bytes = 0;

  /** @throws AccountingError `client.spool_in_use` while another living process uses the file */
  constructor(path: string) {
    this.path = resolve(path);
    claim(`${this.path}.lock`);
    this.load();
    this.compact();
  }

  /** What was written and not marked done, in the order of its first line. */
  unfinished(): Settlement[] {
    return [...this.pending.values()];
  }

  /** Resolves when the settlement is on the disk. */
  add(settlement: Settlement): Promise<void> {
    this.pending.set(settlement.id, settlement);
    return this.append(JSON.stringify(settlement));
  }

  /** Marks it done. It need not be on the disk at once: a settlement that is sent again changes nothing. */
  done(id: string): void {
    if (!this.pending.delete(id)) return;
    void this.append(JSON.stringify({ done: id })).catch(() => undefined);
  }

  /** Keeps what the service refused for good, with its answer, beside the spool. */
  reject(settlement: Settlement, reason: string): void {
    const file = openSync(`${this.path}.rejected`, 'a', 0o600);
    writeFileSync(file, `${JSON.stringify({ ...settlement, reason })}\n`);
    fsyncSync(file);
    closeSync(file);
  }

  close(): void {
    closeSync(this.file as number);
    release(`${this.path}.lock`);
  }

  private append(line: string): Promise<void> {
    return new Promise((written, failed) => {
      this.waiting.push({ line, written, failed });
      if (!this.isWriting) this.write();
    });
  }

  /** What waits goes together in one write and one sync. */
  private write(): void {
    const lines = this.waiting;
    this.waiting = [];
    this.isWriting = true;
    const end = (error: Error | null) => {
      for (const { written, failed } of lines)
        if (error) failed(error);
        else written();
      this.isWriting = false;
      if (this.waiting.length > 0) this.write();
      else if (this.bytes > COMPACT_BYTES && this.pending.size === 0) this.compact();
    };
    try {
      const text = (this.isTorn ? '\n' : '') + lines.map(({ line }) => `${line}\n`).join('');
      this.isTorn = true;
      writeFileSync(this.file as number, text);
      this.isTorn = false;
      this.bytes += text.length;
      fsync(this.file as number, end);
    } catch (error) {
      end(error as Error);
    }
  }

  private load(): void {
    if (!existsSync(this.path)) return;
    for (const line of readFileSync(this.path, 'utf8').split('\n')) {
      const entry = parsed(line);
      if (entry === undefined) continue;
      if ('done' in entry) this.pending.delete(entry.done);
      else this.pending.set(entry.id, entry);
    }
  }

  /** Writes what is pending to a new file in place of the old one. If that fails, as on a full disk, the old one stays. */
  private compact(): void {
    const fresh = `${this.path}.new`;
    try {
      writeFileSync(
        fresh,
        this.unfinished()
          .map((each) => `${JSON.stringify(each)}\n`)
          .join(''),
        { mode: 0o600, flush: true },
      );
      renameSync(fresh, this.path);
      syncDirectory(dirname(this.path));
    } catch {
      rmSync(fresh, { force: true });
    }
    if (this.file !== undefined) closeSync(this.file);
    this.file = openSync(this.path, 'a', 0o600);
    this.bytes = 0;
  }
}

/** A line that a crash has cut short was never acknowledged, so it is left out. */
function parsed(line: string): Settlement | { done: string } | undefined {
  try {
    return JSON.parse(line) as Settlement | { done: string };
  } catch {
    return undefined;
  }
}

/** A renamed file survives a power cut only with its directory. */
function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  fsyncSync(directory);
  closeSync(directory);
}

const held = new Set<string>();

/** Takes the lock, also that of a process that has died. @throws AccountingError `client.spool_in_use` */
function claim(lock: string): void {
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, ownerOf(process.pid));
  try {
    // A hard link appears with its content or not at all, and fails when the name is taken.
    for (let attempt = 0; attempt < 10; attempt++) {
      if (!held.has(lock) && tryLink(mine, lock)) return void held.add(lock);
      const owner = readOwner(lock);
      if (held.has(lock) || isAlive(owner)) throw inUse(lock, owner);
      removeStale(lock, owner);
    }
    throw inUse(lock, readOwner(lock));
  } finally {
    unlinkSync(mine);
  }
}

function release(lock: string): void {
  held.delete(lock);
  unlinkSync(lock);
}

const inUse = (lock: string, owner: string) =>
  misuse(
    'spool_in_use',
    `Process ${owner.split(' ')[0]} uses this spool (${lock}): each process needs a file of its own`,
  );

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves the dead process's lock away. Where another process was faster, what was moved is its lock, and goes back. */
function removeStale(lock: string, owner: string): void {
  const moved = `${lock}.${process.pid}.stale`;
  try {
    renameSync(lock, moved);
  } catch {
    return;
  }
  if (readOwner(moved) !== owner) tryLink(moved, lock);
  unlinkSync(moved);
}

const readOwner = (lock: string) => {
  try {
    return readFileSync(lock, 'utf8');
  } catch {
    return '';
  }
};

/** Process id and, where the system says it, when it began: ids are used again, in containers by every start. */
function ownerOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may hold spaces; after it come the state (Z: it has ended), and as the 20th the time of the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : `${pid} ${fields[19]}`;
  } catch {
    return String(pid);
  }
}

function isAlive(owner: string): boolean {
  const pid = Number(owner.split(' ')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return ownerOf(pid) === owner;
}
