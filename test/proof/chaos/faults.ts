import { setTimeout as pause } from 'node:timers/promises';
import type { DatabaseProxy } from '../../support/database-proxy.js';
import type { SeededRandom } from '../../support/seeded-random.js';
import type { Cluster } from './cluster.js';
import type { Instance } from './instance.js';
import { RECOVERY_LIMIT_MILLISECONDS } from './settings.js';

/** What is killed with SIGKILL. */
type Kill =
  'instance' | 'both instances' | 'starting instance' | 'database' | 'database backend' | 'everything';
/** What happens to the lines between the instances and the database. */
type LineFault = 'cut' | 'delay' | 'blackhole';

export interface Fault {
  readonly kind: Kill | LineFault;
  /** The instance that is killed, or whose line fails; both where it says so. */
  readonly targets: number[];
  /** How long the clients work before. */
  readonly afterMilliseconds: number;
  /** How long it lasts; for a starting instance, when the kill comes. */
  readonly milliseconds: number;
  /** Of a slow line, each way. */
  readonly delayMilliseconds: number;
}

/** Whether the fault takes the database away from an instance, or at least for a moment may. */
export const isOfTheDatabase = ({ kind }: Fault): boolean =>
  kind !== 'instance' && kind !== 'both instances' && kind !== 'starting instance';

/** How the service came through a fault. */
export interface FaultReport {
  readonly fault: Fault;
  /** From the end of the fault until each instance was ready that had lived through it. */
  readonly recoveryMilliseconds: number[];
  /** What it did that it must not. */
  readonly problems: string[];
}

// Both halves in the order of what a short run must not miss. B is killed in the first half only, so that one process
// lives through many faults of its database and shows what it keeps of them.
const KILLS_OF_ALL: Kill[] = [
  'instance',
  'everything',
  'starting instance',
  'database',
  'both instances',
  'instance',
];
const KILLS_BESIDE_B: Kill[] = ['database', 'starting instance', 'database backend', 'database', 'instance'];
const LINE_FAULTS: LineFault[] = ['cut', 'blackhole', 'delay'];
const LINE_FAULTS_PER_KILL = 0.6;

/** All faults of a run, by the seed alone. */
export function planFaults(random: SeededRandom, kills: number): Fault[] {
  const first = deal(KILLS_OF_ALL, Math.ceil(kills / 2), random).map((kind) => plan(random, kind, [0, 1]));
  const second = deal(KILLS_BESIDE_B, Math.floor(kills / 2), random).map((kind) => plan(random, kind, [0]));
  const lines = deal(LINE_FAULTS, Math.round(kills * LINE_FAULTS_PER_KILL), random).map((kind) =>
    plan(random, kind, [0, 1]),
  );
  const faults = [...first, ...second];
  for (const fault of lines) faults.splice(random.integer(0, faults.length), 0, fault);
  return faults;
}

/** So many of a list that goes round, shuffled. */
function deal<T>(choices: T[], count: number, random: SeededRandom): T[] {
  const dealt = Array.from({ length: count }, (_, index) => choices[index % choices.length] as T);
  for (let last = dealt.length - 1; last > 0; last--) {
    const other = random.integer(0, last);
    [dealt[last], dealt[other]] = [dealt[other] as T, dealt[last] as T];
  }
  return dealt;
}

function plan(random: SeededRandom, kind: Fault['kind'], candidates: number[]): Fault {
  const isForAll = ['both instances', 'everything', 'database', 'database backend'].includes(kind);
  const isLine = (LINE_FAULTS as string[]).includes(kind);
  return {
    kind,
    targets: isForAll || (isLine && random.chance(0.5)) ? [0, 1] : [random.pick(candidates)],
    afterMilliseconds: random.integer(200, 1500),
    milliseconds: kind === 'starting instance' ? random.integer(1, 2500) : random.integer(300, 2500),
    delayMilliseconds: random.integer(30, 600),
  };
}

/** Lets a fault happen while the clients work, ends it, and waits until everything is ready again. */
export async function suffer(cluster: Cluster, fault: Fault): Promise<FaultReport> {
  await pause(fault.afterMilliseconds);
  const problems: string[] = [];
  const targets = fault.targets.map((index) => cluster.instances[index] as Instance);
  const lines = fault.targets.map((index) => cluster.lines[index] as DatabaseProxy);
  // The proxies remember every statement until they are asked.
  for (const line of cluster.lines) line.taken();
  switch (fault.kind) {
    case 'instance':
    case 'both instances':
      await Promise.all(targets.map((instance) => instance.kill('SIGKILL')));
      break;
    case 'starting instance':
      await Promise.all(targets.map((instance) => instance.kill('SIGKILL')));
      await Promise.all(targets.map((instance) => instance.startAndKill(fault.milliseconds)));
      break;
    case 'everything':
      await Promise.all([...targets.map((instance) => instance.kill('SIGKILL')), cluster.killDatabase()]);
      // The first starts meet a server that is not there, or that recovers.
      await Promise.all([
        pause(1000 + fault.milliseconds).then(() => cluster.startDatabase()),
        ...targets.map((instance) => instance.start()),
      ]);
      break;
    case 'database':
      await cluster.killDatabase();
      problems.push(...(await outage(targets, fault)));
      await cluster.startDatabase();
      break;
    case 'database backend':
      await cluster.killBackend();
      break;
    case 'delay':
      for (const line of lines) line.delay(fault.delayMilliseconds);
      await pause(fault.milliseconds);
      for (const line of lines) line.delay(0);
      break;
    case 'cut':
    case 'blackhole':
      for (const line of lines) line[fault.kind === 'cut' ? 'cut' : 'silence']();
      problems.push(...(await outage(targets, fault)));
      for (const line of lines) line.restore();
      break;
  }
  const ended = Date.now();
  const survivors = cluster.instances.filter((instance) => instance.alive);
  const fallen = cluster.instances.filter((instance) => !instance.alive);
  const [recoveryMilliseconds] = await Promise.all([
    Promise.all(survivors.map((instance) => untilReady(instance, ended, problems))),
    ...fallen.map((instance) => instance.start()),
  ]);
  for (const instance of survivors) instance.outlived++;
  return { fault, recoveryMilliseconds, problems };
}

/** While the database cannot be reached an instance is alive, says that it is not ready, and goes on saying so. */
async function outage(instances: Instance[], { milliseconds }: Fault): Promise<string[]> {
  const problems = await Promise.all(
    instances.map(async (instance): Promise<string[]> => {
      if ((await statusOf(instance, '/health')) !== 200) return [`${instance.name} is not alive`];
      const noticed = await until(async () => (await statusOf(instance, '/health/ready')) === 503);
      if (!noticed) return [`${instance.name} calls itself ready without a database`];
      await pause(milliseconds);
      if ((await statusOf(instance, '/health')) !== 200) return [`${instance.name} is no longer alive`];
      if ((await statusOf(instance, '/health/ready')) === 503) return [];
      return [`${instance.name} is ready again without a database`];
    }),
  );
  return problems.flat();
}

async function untilReady(instance: Instance, since: number, problems: string[]): Promise<number> {
  const isReady = await until(async () => (await statusOf(instance, '/health/ready')) === 200);
  if (!isReady) problems.push(`${instance.name} has not recovered`);
  return Date.now() - since;
}

/** Whether it comes true within the time that a recovery may take. */
export async function until(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = Date.now() + RECOVERY_LIMIT_MILLISECONDS;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await pause(25);
  }
  return true;
}

const statusOf = (instance: Instance, path: string): Promise<number> =>
  fetch(instance.url + path, { signal: AbortSignal.timeout(RECOVERY_LIMIT_MILLISECONDS) }).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.status;
    },
    () => 0,
  );
