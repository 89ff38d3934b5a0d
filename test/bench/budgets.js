import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask, inLanes, tokenOf } from './accounts.js';
import { requireCleanAudit } from './books.js';
import { onEnd, runToEnd } from './cleanup.js';
import { comparePairs } from './pairs.js';
import { processorTime } from './processor-time.js';
import { startDatabase, startGenerator, startService } from './servers.js';

const USAGE = `Measures what budgets cost: the same load on organisations with 8 hard budgets (the account, two units and each
member, by day and by month) and on organisations without any, by turns of half a second on one service.

  npm run bench:budgets -- [options]

  --scenario a,b   (default hold,lifecycle,charge)
  --clients 1,50   connections, each with one request under way (default 10,50,500)
  --accounts MODE  shared (one organisation of 500 members) or separate (200 organisations); default both
  --turns N        of each for each figure (default 12)

Each ratio is the median over pairs of turns: 0.8 says that with budgets there are 0.8 times as many requests a second.
At the end every budget is compared with sessions and records, and none may be exceeded.
`;
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const MEMBERS = 500;
const ORGANISATIONS = 200;
const CREDITS = 1_000_000_000_000;
const WARM_UP_SECONDS = 0.05;
const EXCEEDED = `
  SELECT count(*) AS exceeded FROM budget_periods p JOIN budgets b ON b.account_id = p.account_id AND b.id = p.budget_id
   WHERE p.used + p.held > b.amount`;

const options = readOptions();
await runToEnd(run);

function readOptions() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: {
      scenario: { ...text, default: 'hold,lifecycle,charge' },
      clients: { ...text, default: '10,50,500' },
      accounts: { ...text, default: 'separate,shared' },
      turns: { ...text, default: '12' },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  return {
    scenarios: values.scenario.split(','),
    clients: values.clients.split(',').map(Number),
    modes: values.accounts.split(','),
    turns: Number(values.turns),
  };
}

async function run() {
  const generator = startGenerator();
  onEnd(() => generator.stop());
  const data = await mkdtemp(join(tmpdir(), 'accounting-bench-'));
  onEnd(() => rm(data, { recursive: true, force: true }));
  const database = await startDatabase(DIST, join(data, 'postgres'));
  onEnd(() => database.stop());
  const service = await startService(DIST, database.url, { DB_POOL_SIZE: '20' });
  onEnd(() => service.stop());
  const sides = [await makeSide(service.port, 'limited'), await makeSide(service.port, 'free')];
  await database.owner.query('VACUUM ANALYZE');
  let jobs = 0;
  const turn = async (accounts, scenario, { mode, ...cell }) => {
    const before = processorTime(service.pid);
    const { requests, sent, seconds } = await generator.run({
      id: `b${++jobs}`,
      scenario,
      port: service.port,
      warmUpSeconds: WARM_UP_SECONDS,
      ...cell,
      accounts: accounts[mode],
    });
    return { rate: requests / seconds, processor: (processorTime(service.pid) - before) / sent };
  };
  await comparePairs(options, sides, turn, 'with, without');
  const { rows } = await database.owner.query(EXCEEDED);
  if (rows[0].exceeded !== '0') throw new Error(`${rows[0].exceeded} budgets are exceeded`);
  await requireCleanAudit(DIST, database.url);
  return true;
}

async function makeSide(port, name) {
  const shared = await makeOrganisation(port, name, 'shared', MEMBERS);
  const names = Array.from({ length: ORGANISATIONS }, (_, index) => String(index));
  const separate = await inLanes(names, (index) => makeOrganisation(port, name, index, 1));
  return { shared, separate: separate.flat() };
}

/** An organisation with members in a unit of a unit. Those that are `limited` have budgets that no run uses up. */
async function makeOrganisation(port, kind, index, size) {
  const root = tokenOf('root', 'admin');
  const post = (path, body) => ask(port, 'POST', `/api/${path}`, root, body);
  const accountId = `org:${kind}-${index}`;
  await post('organisations', { id: accountId, name: accountId });
  await post('credits/allocate', { accountId, credits: CREDITS });
  const top = await post(`organisations/${accountId}/units`, { name: 'top' });
  const team = await post(`organisations/${accountId}/units`, { name: 'team', parentId: top.id });
  const scopes = [
    { scope: 'account' },
    { scope: 'unit', scopeId: String(top.id) },
    { scope: 'unit', scopeId: String(team.id) },
    { scope: 'each_member' },
  ];
  for (const window of kind === 'limited' ? ['day', 'month'] : []) {
    for (const scope of scopes) {
      await post('budgets', { accountId, ...scope, unit: 'credits', window, amount: CREDITS });
    }
  }
  const members = Array.from({ length: size }, (_, member) => `${kind}-${index}-${member}`);
  return inLanes(members, async (userId) => {
    await post(`organisations/${accountId}/members`, { userId, role: 'member', unitId: team.id });
    const token = tokenOf(userId);
    await ask(port, 'GET', '/api/credits/balance', token);
    return { userId, token, accountId };
  });
}
