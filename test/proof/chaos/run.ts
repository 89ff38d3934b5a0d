import { setTimeout as pause } from 'node:timers/promises';
import { HttpClient } from '../../support/http-client.js';
import { SeededRandom } from '../../support/seeded-random.js';
import { accessToken } from '../../support/tokens.js';
import { type Books, readBooks } from './books.js';
import { type Bell, ChaosClient } from './client.js';
import { Cluster, type Resources } from './cluster.js';
import { type FaultReport, planFaults, suffer, until } from './faults.js';
import type { Remembered } from './memory.js';
import { type ChaosSettings, POOL_SIZE } from './settings.js';
import { endow, work } from './workload.js';

/** Everything that a run has left to judge. */
export interface ChaosResult {
  settings: ChaosSettings;
  memory: Remembered[];
  books: Books;
  faults: FaultReport[];
  /** The starts that were killed while they migrated the empty database. */
  killedMigrations: number;
  before: Resources;
  after: Resources;
  /** Whether everything of the service in the server came to rest, within the pools' size. */
  isAtRest: boolean;
  audit: { ok: boolean; usersChecked: number; differences: unknown[] };
  crashes: string[];
  internalErrors: string[];
  failedStarts: string[];
  /** Faults of its database that the process lived through which ended the run. */
  outlived: number[];
  seconds: number;
}

const WARM_UP_MILLISECONDS = 3000;
/** The start is longer on an empty database: it creates everything. */
const MIGRATION_MILLISECONDS = 2500;
/** For each so many kills later on, one hits a start that migrates the empty database. */
const KILLS_PER_MIGRATION = 10;

/** One run from an empty database to its last answer. */
export async function runChaos(
  directory: string,
  settings: ChaosSettings,
  log: (line: string) => void,
): Promise<ChaosResult> {
  const begun = Date.now();
  const random = new SeededRandom(settings.seed);
  const cluster = await Cluster.create(directory, settings);
  try {
    const memory: Remembered[] = [];
    const bell: Bell = { rungAt: undefined };
    const killedMigrations = Math.ceil(settings.kills / KILLS_PER_MIGRATION);
    await firstStart(cluster, random, killedMigrations);
    const clients = await enlist(cluster, settings, memory, bell);
    const working = Promise.all(clients.map((client, index) => work(client, `c${index}`, bell)));
    await pause(WARM_UP_MILLISECONDS);
    const before = await cluster.resources();
    const faults: FaultReport[] = [];
    for (const fault of planFaults(random, settings.kills)) {
      const report = await suffer(cluster, fault);
      faults.push(report);
      log(describeFault(report, faults.length, Date.now() - begun));
    }
    bell.rungAt = Date.now();
    await working;
    const isAtRest = await until(async () => {
      const { busyConnections, connections } = await cluster.resources();
      return busyConnections === 0 && connections <= POOL_SIZE * cluster.instances.length;
    });
    const { instances } = cluster;
    return {
      settings,
      memory,
      faults,
      killedMigrations,
      before,
      isAtRest,
      after: await cluster.resources(),
      ...(await finalBooks(cluster)),
      crashes: instances.flatMap(({ crashes }) => crashes),
      internalErrors: instances.flatMap(({ internalErrors }) => internalErrors),
      failedStarts: instances.flatMap(({ failedStarts }) => failedStarts),
      outlived: instances.map(({ outlived }) => outlived),
      seconds: Math.round((Date.now() - begun) / 1000),
    };
  } finally {
    await cluster.close();
  }
}

/** Kills the first starts in the middle of the migrations, and then starts both instances at one moment. */
async function firstStart({ instances }: Cluster, random: SeededRandom, kills: number): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    await instances[0]?.startAndKill(random.integer(MIGRATION_MILLISECONDS / 5, MIGRATION_MILLISECONDS));
  }
  await Promise.all(instances.map((instance) => instance.start()));
}

/** A third of the clients spend from one account, some from an account that is nearly empty, the others have their own. */
async function enlist(
  { instances }: Cluster,
  settings: ChaosSettings,
  memory: Remembered[],
  bell: Bell,
): Promise<ChaosClient[]> {
  const clients = Array.from({ length: settings.clients }, (_, index) => {
    const userId = index % 3 === 0 ? 'shared' : index % 6 === 1 ? 'poor' : `user-${index}`;
    const random = new SeededRandom(settings.seed * 1000 + index);
    return new ChaosClient(instances, memory, bell, random, userId);
  });
  for (const [index, client] of clients.entries()) {
    await endow(client, `c${index}`, client.userId === 'poor' ? 1 : 1_000_000);
  }
  for (const userId of new Set(clients.map((client) => client.userId))) {
    await limit(new HttpClient(instances[0]?.url as string, BOSS, 'boss'), userId);
  }
  return clients;
}

/** Budgets of every unit, which nothing uses up: the audit compares what they have used and held with the books. */
async function limit(boss: HttpClient, accountId: string): Promise<void> {
  for (const [unit, window] of [
    ['credits', 'day'],
    ['tokens', 'lifetime'],
    ['requests', 'minute'],
    ['sessions', undefined],
  ]) {
    const budget = { accountId, scope: 'account', unit, window, amount: 1_000_000_000_000 };
    const made = await boss.post('/api/budgets', budget);
    if (made.status !== 201) throw new Error(`A budget was refused: ${made.text}`);
  }
}

const BOSS = { authorization: `Bearer ${accessToken({ sub: 'boss', role: 'admin' })}` };

/** The audit runs in one instance, and once nothing moves any more the books are read past it. */
async function finalBooks(cluster: Cluster): Promise<Pick<ChaosResult, 'audit' | 'books'>> {
  const auditor = new HttpClient(cluster.instances[0]?.url as string, BOSS, 'boss');
  const { body } = await auditor.get<ChaosResult['audit']>('/api/credits/audit');
  return { audit: body, books: await readBooks(cluster) };
}

function describeFault({ fault, recoveryMilliseconds, problems }: FaultReport, number: number, at: number) {
  const whom = fault.targets.map((index) => 'AB'[index]).join('+');
  const recovered = recoveryMilliseconds.map((each) => (each / 1000).toFixed(2)).join(' and ');
  const outcome = recovered === '' ? 'restarted' : `ready after ${recovered} s`;
  return [
    `${(at / 1000).toFixed(0).padStart(4)} s  ${number}. ${fault.kind} (${whom}): ${outcome}`,
    ...problems,
  ].join('\n  ');
}
