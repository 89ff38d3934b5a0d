import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { onEnd, runToEnd } from './cleanup.js';
import { comparePairs } from './pairs.js';
import { processorTime } from './processor-time.js';
import { SCENARIOS } from './scenarios.js';
import { startGenerator } from './servers.js';

const USAGE = `Measures the built service against another built one, by turns of half a second, each on a database of its own.

  npm run bench:against -- DIRECTORY [options]

  DIRECTORY        of the other one: a checkout with its packages installed, in which npm run build has run
  --scenario a,b   of ${SCENARIOS.map(({ name }) => name).join(', ')} (default all)
  --clients 1,50   connections, each with one request under way (default 1,10,50,200)
  --accounts MODE  separate (1,000 users) or shared (one); default both
  --turns N        of each service for each figure (default 12)

Each ratio is the median over pairs of turns, which follow one another: so a machine that becomes slower meanwhile
changes it little. Above 1, this service does more requests a second, or takes more processor time for each.
`;
const THIS = fileURLToPath(new URL('../..', import.meta.url));
const WARM_UP_SECONDS = 0.05;

const options = readOptions();
await runToEnd(run);

function readOptions() {
  const text = { type: 'string' };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      scenario: { ...text, default: SCENARIOS.map(({ name }) => name).join(',') },
      clients: { ...text, default: '1,10,50,200' },
      accounts: { ...text, default: 'separate,shared' },
      turns: { ...text, default: '12' },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  if (values.help || positionals.length !== 1) {
    process.stdout.write(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  return {
    other: resolve(positionals[0]),
    scenarios: values.scenario.split(','),
    clients: values.clients.split(',').map(Number),
    modes: values.accounts.split(','),
    turns: Number(values.turns),
  };
}

async function run() {
  const generator = startGenerator();
  onEnd(() => generator.stop());
  // Side by side: one that has waited for the other would be slower for it.
  const sides = await Promise.all([start(THIS), start(options.other)]);
  let jobs = 0;
  const turn = async (side, scenario, cell) => {
    const before = processorTime(side.service.pid);
    const { requests, sent, seconds } = await generator.run({
      id: `a${++jobs}`,
      scenario,
      port: side.service.port,
      supervisorToken: side.supervisorToken,
      warmUpSeconds: WARM_UP_SECONDS,
      ...cell,
      accounts: side.accounts[cell.mode],
    });
    return { rate: requests / seconds, processor: (processorTime(side.service.pid) - before) / sent };
  };
  await comparePairs(options, sides, turn, 'this, other');
  return true;
}

/** A service of a directory on a database of its own, with accounts; made by the measurement's files of that directory. */
async function start(directory) {
  const load = (file) => import(pathToFileURL(join(directory, 'test/bench', file)).href);
  const { startDatabase, startService } = await load('servers.js');
  const { createAccounts, introduce, tokenOf } = await load('accounts.js');
  const data = await mkdtemp(join(tmpdir(), 'accounting-bench-'));
  onEnd(() => rm(data, { recursive: true, force: true }));
  const dist = join(directory, 'dist');
  const database = await startDatabase(dist, join(data, 'postgres'));
  onEnd(() => database.stop());
  const service = await startService(dist, database.url, { DB_POOL_SIZE: '20' });
  onEnd(() => service.stop());
  const accounts = await createAccounts(service.port, database.owner);
  await introduce(service.port, accounts);
  return { service, accounts, supervisorToken: tokenOf('supervisor', 'supervisor') };
}
