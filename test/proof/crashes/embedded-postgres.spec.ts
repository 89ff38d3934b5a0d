import { type ForkOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../../src/postgres-server/embedded-postgres.js';
import { compilePrograms, type Program, startProgram } from '../../support/programs.js';

type Reachable = Pick<EmbeddedPostgres, 'port' | 'password' | 'pid'>;
type Owner = Program<{ server?: Reachable; refused?: string }>;

const asRoot = process.getuid?.() === 0;
const UNPRIVILEGED = { uid: 65534, gid: 65534 };
/** A project or a node below /root can be run by root only. */
const nobodyCanRunNode =
  asRoot &&
  spawnSync(process.execPath, ['-e', 'process.chdir(process.argv[1])', process.cwd()], UNPRIVILEGED)
    .status === 0;

/** What containers do not share, though they share a volume: the numbers of processes, and System V memory. */
const UNSHARE = ['--pid', '--fork', '--ipc', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync('unshare', [...UNSHARE, 'true']).status === 0;
const inContainer = (...through: string[]): ForkOptions => ({
  execPath: 'unshare',
  execArgv: [...UNSHARE, ...through, process.execPath],
});

let directory: string;
let programs: string;
let dataDir: string;
let undo: (() => unknown)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'embedded-postgres-'));
  // Passable, so that the ordinary way is tried; the other way has a test of its own.
  await chmod(directory, 0o755);
  programs = join(directory, 'programs');
  await compilePrograms(programs);
});
beforeAll(async () => {
  const server = await startEmbeddedPostgres({ dataDir: join(directory, 'made', 'pg') });
  await server.stop();
});
afterAll(() => rm(directory, { recursive: true, force: true }));

beforeEach(async () => {
  const home = await mkdtemp(join(directory, 'test-'));
  await chmod(home, 0o755);
  dataDir = join(home, 'pg');
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
  undo = [];
});

async function start(path = dataDir): Promise<EmbeddedPostgres> {
  // Processes are killed here, machines are not.
  const server = await startEmbeddedPostgres({ dataDir: path, settings: { fsync: 'off' } });
  undo.push(() => server.stop());
  return server;
}

function launch<Answer>(name: string, args: string[], how: ForkOptions = {}): Program<Answer> {
  const program = startProgram<Answer>(programs, name, args, how);
  undo.push(async () => {
    if (program.process.connected) program.process.disconnect();
    await program.ended;
  });
  return program;
}

/** Another process that starts the server. */
function own(path = dataDir, how: ForkOptions = {}): Owner {
  return launch('embedded-owner', [path], how);
}

/** Makes the directory one that has been used before: quicker than an initdb in every test. */
async function usedBefore(path = dataDir): Promise<void> {
  const made = join(directory, 'made', 'pg');
  await cp(made, path, { recursive: true });
  await copyFile(`${made}.password`, `${path}.password`);
}

/** An owner in another process whose server is ready and holds a word. */
async function ownWithWord(
  word: string,
  how: ForkOptions = {},
): Promise<{ owner: Owner; server: Reachable }> {
  await usedBefore();
  const owner = own(dataDir, how);
  const server = (await owner.answer)?.server as Reachable;
  await write(server, word);
  return { owner, server };
}

const login = ({ port, password }: Reachable) => ({ host: '127.0.0.1', port, user: 'postgres', password });

async function query(
  server: Reachable,
  text: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ ...login(server), database: 'postgres' });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  } finally {
    await client.end();
  }
}

async function write(server: Reachable, word: string): Promise<void> {
  await query(server, `CREATE TABLE kept AS SELECT '${word}' AS word`);
}

const read = async (server: Reachable) => (await query(server, 'SELECT word FROM kept'))[0]?.word;

async function kill(owner: Owner): Promise<void> {
  owner.process.kill('SIGKILL');
  await owner.ended;
}

/** Waits for what another process does. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !(await condition()); await pause(2)) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${condition.toString()}`);
  }
}

async function isRunning(pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // Z: dead, and not yet waited for by its parent.
    return text !== '' && !text.includes(') Z ');
  }
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const besides = async () => (await readdir(join(dataDir, '..'))).sort();

/** Everything that can be seen of a directory: names, owners, modes, times and texts. */
async function snapshot(path: string): Promise<unknown[]> {
  const { mode, uid, gid, mtimeMs } = await lstat(path);
  const facts = { path, mode, uid, gid, mtimeMs };
  if (!(await stat(path)).isDirectory()) return [{ ...facts, text: await readFile(path, 'utf8') }];
  const inside = await Promise.all((await readdir(path)).sort().map((name) => snapshot(join(path, name))));
  return [facts, ...inside.flat()];
}

/** A data directory whose server and owner were killed together; `postmaster.pid` is as they left it. */
async function crashed(word: string): Promise<Reachable> {
  const { owner, server } = await ownWithWord(word);
  await kill(owner);
  process.kill(server.pid, 'SIGKILL');
  return server;
}

async function namesInPidFile(pid: number): Promise<void> {
  const file = join(dataDir, 'postmaster.pid');
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^\d+/, String(pid)));
}

describe('the embedded PostgreSQL server, on its own directory', () => {
  it('starts on a fresh directory and finds its data again the second time', async () => {
    const first = await start();
    await write(first, 'first');
    await first.stop();
    expect(await besides()).toEqual(['pg', 'pg.password']);
    const second = await start();
    expect(await read(second)).toBe('first');
    expect(second.password).toBe(first.password);
  });

  it('takes an empty directory, and makes the directories above a new one', async () => {
    await mkdir(dataDir);
    expect(await query(await start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const deep = await start(join(dataDir, '..', 'a', 'b', 'pg'));
    expect(await query(deep, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('works in a directory whose path has spaces, quotes and other letters', async () => {
    const path = join(dataDir, '..', `it's "my" d\u00e4ta; $HOME \\ #1`, 'pg data');
    const first = await start(path);
    await write(first, 'quoted');
    await first.stop();
    expect(await read(await start(path))).toBe('quoted');
  });

  it.runIf(asRoot)('works below a directory that only root can pass', async () => {
    await chmod(join(dataDir, '..'), 0o700);
    const first = await start();
    await write(first, 'hidden');
    await first.stop();
    const second = await start();
    expect(await read(second)).toBe('hidden');
    expect((await stat(`/proc/${second.pid}`)).uid).not.toBe(0);
  });

  it.runIf(nobodyCanRunNode)('works for a normal user, as that user', async () => {
    await chown(join(dataDir, '..'), UNPRIVILEGED.uid, UNPRIVILEGED.gid);
    const owner = own(dataDir, UNPRIVILEGED);
    const server = (await owner.answer)?.server as Reachable;
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect((await stat(`/proc/${server.pid}`)).uid).toBe(UNPRIVILEGED.uid);
    expect((await stat(`${dataDir}.password`)).mode & 0o777).toBe(0o600);
    owner.process.disconnect();
    await owner.ended;
    expect(await isRunning(server.pid)).toBe(false);
  });

  it('picks another port when something listens on the one it had', async () => {
    await usedBefore();
    const first = await start();
    await first.stop();
    const squatter = createServer().listen(first.port, '127.0.0.1');
    await once(squatter, 'listening');
    undo.push(() => squatter.close());
    const second = await start();
    expect(second.port).not.toBe(first.port);
    expect(await query(second, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('stops once however often it is asked, and frees the directory', async () => {
    await usedBefore();
    const server = await start();
    const client = new pg.Client({ ...login(server), database: 'postgres' });
    client.on('error', () => undefined);
    await client.connect();
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(await isRunning(server.pid)).toBe(false);
    expect(existsSync(`${dataDir}.owner`)).toBe(false);
    expect(existsSync(join(dataDir, 'postmaster.pid'))).toBe(false);
    await start();
  });

  it('reports the unexpected death of the server to every listener, also to one that asks later', async () => {
    await usedBefore();
    const server = await start();
    const early = new Promise<string>((done) => server.onUnexpectedExit(done));
    process.kill(server.pid, 'SIGKILL');
    expect(await early).toContain('SIGKILL');
    expect(await new Promise<string>((done) => server.onUnexpectedExit(done))).toContain('SIGKILL');
    await server.stop();
    await start();
  });

  it('does not report a stop that was asked for', async () => {
    await usedBefore();
    const server = await start();
    const reports: string[] = [];
    server.onUnexpectedExit((why) => reports.push(why));
    await server.stop();
    server.onUnexpectedExit((why) => reports.push(why));
    expect(reports).toEqual([]);
  });
});

describe('the embedded PostgreSQL server, after a crash', () => {
  it('takes over the server of a killed owner, and finds the data', async () => {
    const { owner, server } = await ownWithWord('orphan');
    await kill(owner);
    expect(await isRunning(server.pid)).toBe(true);
    const next = await start();
    expect(await isRunning(server.pid)).toBe(false);
    expect(await read(next)).toBe('orphan');
    await next.stop();
    expect(await besides()).toEqual(['pg', 'pg.password']);
  });

  it('recovers at once when server and owner were killed, and postmaster.pid names the dead server', async () => {
    const dead = await crashed('crash');
    expect(await readFile(join(dataDir, 'postmaster.pid'), 'utf8')).toContain(String(dead.pid));
    expect(await read(await start())).toBe('crash');
  });

  it('waits for a process of the killed server that still uses the data', async () => {
    const { owner, server } = await ownWithWord('late');
    const client = new pg.Client({ ...login(server), database: 'postgres' });
    client.on('error', () => undefined);
    await client.connect();
    const backend = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]
      ?.pid as number;
    process.kill(backend, 'SIGSTOP');
    await kill(owner);
    process.kill(server.pid, 'SIGKILL');
    const starting = start();
    expect(await Promise.race([starting, pause(700, 'waits')])).toBe('waits');
    process.kill(backend, 'SIGCONT');
    expect(await read(await starting)).toBe('late');
  });

  it('recovers when postmaster.pid names a living process that is another program, and leaves that alone', async () => {
    const stranger = spawn('sleep', ['60']);
    undo.push(() => stranger.kill());
    await crashed('stranger');
    await namesInPidFile(stranger.pid as number);
    expect(await read(await start())).toBe('stranger');
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });

  it('recovers when postmaster.pid names the server of another directory, and leaves that alone', async () => {
    await usedBefore(`${dataDir}2`);
    const other = await start(`${dataDir}2`);
    await crashed('neighbour');
    await namesInPidFile(other.pid);
    expect(await read(await start())).toBe('neighbour');
    expect(await query(other, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('recovers when postmaster.pid is empty, as a loss of power leaves it', async () => {
    await crashed('power');
    await writeFile(join(dataDir, 'postmaster.pid'), '');
    expect(await read(await start())).toBe('power');
  });

  it('starts anew when the first start was killed during initdb, and leaves nothing half-made', async () => {
    const owner = own();
    const unfinished = async () => (await besides()).find((name) => name.startsWith('pg.initializing'));
    await until(async () => {
      const name = await unfinished();
      return name !== undefined && existsSync(join(dataDir, '..', name, 'data', 'base'));
    });
    await kill(owner);
    expect(existsSync(dataDir)).toBe(false);
    const next = await start();
    expect(await query(next, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await next.stop();
    await start();
    const alive = expect.stringMatching(/^pg\.owner\..+\.alive$/) as string;
    expect(await besides()).toEqual(['pg', 'pg.owner', alive, 'pg.password', 'pg.server']);
  });
});

describe('the embedded PostgreSQL server, in the presence of others', () => {
  it('refuses a directory that a living owner uses, naming the owner, who keeps working', async () => {
    const { owner, server } = await ownWithWord('mine');
    await expect(start()).rejects.toThrow(`${dataDir} is in use by process ${owner.pid}. Stop that process`);
    expect(await read(server)).toBe('mine');
  });

  it.runIf(canUnshare)('refuses a directory that a living owner in another container uses', async () => {
    const { server } = await ownWithWord('elsewhere', inContainer());
    await expect(start()).rejects.toThrow(`${dataDir} is in use by process`);
    const answer = await own(dataDir, inContainer()).answer;
    expect(answer?.refused).toContain(`${dataDir} is in use by process`);
    expect(await read(server)).toBe('elsewhere');
  });

  it.runIf(canUnshare)('takes over the directory of a container that was killed', async () => {
    const { owner } = await ownWithWord('removed', inContainer());
    await kill(owner);
    expect(await read(await start())).toBe('removed');
  });

  it.runIf(canUnshare)('refuses a directory whose server runs on in another container', async () => {
    const killed = `${dataDir}.killed`;
    const { owner, server } = await ownWithWord(
      'left',
      inContainer('sh', '-c', '"$@"; touch "$0"; sleep 60', killed),
    );
    owner.process.send('die');
    await until(() => existsSync(killed));
    await expect(start()).rejects.toThrow(`A PostgreSQL server without its service still runs on ${dataDir}`);
    expect(await read(server)).toBe('left');
    await kill(owner);
    expect(await read(await start())).toBe('left');
  });

  it('refuses a second start in the same process, and by another path to the same directory', async () => {
    await usedBefore();
    const link = `${dataDir}-link`;
    const server = await start();
    await symlink(dataDir, link);
    await expect(start()).rejects.toThrow(`is in use by process ${process.pid}`);
    await expect(start(link)).rejects.toThrow(`is in use by process ${process.pid}`);
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('lets exactly one of several simultaneous starts win, also where an owner has died', async () => {
    await kill((await ownWithWord('contested')).owner);
    const owners = Array.from({ length: 4 }, () => own());
    const answers = await Promise.all(owners.map((owner) => owner.answer));
    const winners = answers.flatMap((answer) => answer?.server ?? []);
    expect(winners).toHaveLength(1);
    expect(await read(winners[0] as Reachable)).toBe('contested');
    const refusals = answers.flatMap((answer) => answer?.refused ?? []);
    expect(refusals).toHaveLength(3);
    for (const refusal of refusals) expect(refusal).toMatch(/is in use by process \d+/);
  });

  it('gives a directory whose owner has died to exactly one of many that ask at the same moment', async () => {
    const rounds = 100;
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    for (let round = 0; round < rounds; round++) {
      await writeFile(`${dataDir}${round}.owner`, JSON.stringify({ pid: dead, fifo: 'removed' }));
    }
    const firstMoment = Date.now() + 1000;
    const rivals = Array.from({ length: 6 }, () =>
      launch<{ won: number[] }>('claim-race', [dataDir, String(rounds), String(firstMoment)]),
    );
    const answers = await Promise.all(rivals.map((rival) => rival.answer));
    const won = answers.flatMap((answer) => answer?.won ?? []);
    expect(won.sort((a, b) => a - b)).toEqual(Array.from({ length: rounds }, (_, round) => round));
  });

  it('refuses what is not its own, and leaves it untouched', async () => {
    await mkdir(join(dataDir, 'photos'), { recursive: true });
    await writeFile(join(dataDir, 'photos', 'one.txt'), 'dear');
    const file = `${dataDir}-file`;
    await writeFile(file, 'dear too');
    const before = await snapshot(join(dataDir, '..'));
    await expect(start()).rejects.toThrow(`${dataDir} is not empty and holds no database of this service`);
    await expect(start(file)).rejects.toThrow(`${file} cannot be used as the database's directory`);
    expect((await snapshot(join(dataDir, '..'))).slice(1)).toEqual(before.slice(1));
  });

  it('refuses what another initdb has left half-made, and leaves it untouched', async () => {
    await mkdir(join(dataDir, 'base'), { recursive: true });
    await writeFile(join(dataDir, 'PG_VERSION'), '18\n');
    const before = await snapshot(dataDir);
    await expect(start()).rejects.toThrow(
      `without the file ${dataDir}.password, so this service has not made it`,
    );
    expect(await snapshot(dataDir)).toEqual(before);
  });

  it('refuses the database of another installation, whose server keeps running', async () => {
    const { owner, server } = await ownWithWord('theirs');
    // Without these two files it is a PostgreSQL server like any other.
    await rm(`${dataDir}.owner`);
    await rename(`${dataDir}.password`, join(directory, 'elsewhere'));
    await expect(start()).rejects.toThrow('so this service has not made it');
    expect(await read(server)).toBe('theirs');
    expect(await isRunning(owner.pid)).toBe(true);
  });
});
