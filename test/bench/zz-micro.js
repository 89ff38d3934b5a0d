import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask, tokenOf, inLanes } from './accounts.js';
import { onEnd, runToEnd } from './cleanup.js';
import { startDatabase, startService } from './servers.js';
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const CREDITS = 1e12;
const EACH = process.env.EACH !== 'off';
await runToEnd(async () => {
  const data = await mkdtemp(join(tmpdir(), 'accounting-bench-'));
  onEnd(() => rm(data, { recursive: true, force: true }));
  const db = await startDatabase(DIST, join(data, 'postgres'));
  onEnd(() => db.stop());
  const service = await startService(DIST, db.url, { DB_POOL_SIZE: '4' });
  const root = tokenOf('root', 'admin');
  const post = (path, body) => ask(service.port, 'POST', `/api/${path}`, root, body);
  const N = 64;
  for (const kind of ['limited', 'free']) {
    const accountId = `org:${kind}`;
    await post('organisations', { id: accountId, name: accountId });
    await post('credits/allocate', { accountId, credits: CREDITS });
    const top = await post(`organisations/${accountId}/units`, { name: 'top' });
    const team = await post(`organisations/${accountId}/units`, { name: 'team', parentId: top.id });
    const scopes = [{ scope: 'account' }, { scope: 'unit', scopeId: String(top.id) }, { scope: 'unit', scopeId: String(team.id) }, { scope: 'each_member' }];
    for (const window of kind === 'limited' ? ['day', 'month'] : [])
      for (const s of scopes) await post('budgets', { accountId, ...s, unit: 'credits', window, amount: CREDITS });
    await inLanes(Array.from({ length: N }, (_, m) => `${kind}-${m}`), async (userId) => {
      await post(`organisations/${accountId}/members`, { userId, role: 'member', unitId: team.id });
      await ask(service.port, 'GET', '/api/credits/balance', tokenOf(userId));
    });
  }
  await service.stop();
  await db.owner.query('VACUUM ANALYZE');
  if (process.env.PRE) await db.owner.query(process.env.PRE);
  if (process.env.KEEP) { const o = db.owner.options; console.log('postgresql://' + o.user + ':' + o.password + '@' + o.host + ':' + o.port + '/bench?sslmode=disable'); await new Promise((r) => setTimeout(r, 1800000)); }
  let n = 0;
  const batch = (kind, size) => JSON.stringify(Array.from({ length: size }, (_, i) => ({
    operation: 'session_hold', accountId: `org:${kind}`, userId: `${kind}-${(n + i) % N}`, sessionId: `s${n++}`, modelId: 'gpt-4o-mini',
    estimatedTokens: 1000, bufferPercent: 20, leaseSeconds: 900, rejectUnpriced: false, actor: 'x', apiKeyId: null, tags: null })));
  const client = db.owner;
  const run = async (kind, size, ms) => {
    const until = performance.now() + ms; let count = 0, t0 = performance.now();
    while (performance.now() < until) {
      const r = await client.query({ name: 'm', text: 'SELECT count(*) FILTER (WHERE answer ->> \'outcome\' = \'created\') AS ok FROM movements($1, 1000)', values: [batch(kind, size)] });
      const ok = Number(r.rows[0].ok);
      count += ok;
    }
    return ((performance.now() - t0) / count) * 1000;
  };
  for (const k of ['limited', 'free']) await run(k, 16, 1500);
  if (process.env.PERF) { const { rows: [{ pid }] } = await client.query('SELECT pg_backend_pid() AS pid'); console.log('pid', pid); await run('limited', 64, 12000); return true; }
  for (const size of (process.env.SIZES ?? '1,4,16,64').split(',').map(Number)) {
    const r = { limited: [], free: [] };
    for (let t = 0; t < 8; t++) for (const k of ['limited', 'free']) r[k].push(await run(k, size, 400));
    const med = (a) => a.sort((x, y) => x - y)[a.length >> 1];
    console.log(size, 'limited', med(r.limited).toFixed(0), 'free', med(r.free).toFixed(0), 'µs; ratio', (med(r.free) / med(r.limited)).toFixed(2));
  }
  if (process.env.PARTS) {
    await client.query(`CREATE OR REPLACE FUNCTION zz(p_n integer, p_what text) RETURNS double precision LANGUAGE plpgsql SET enable_seqscan = off AS $$
      DECLARE t timestamptz; l account_lock; v call_budgets; i integer; x bigint[];
      BEGIN
        l := lock_account('org:limited');
        t := clock_timestamp();
        FOR i IN 1..p_n LOOP
          IF p_what = 'find' THEN v := find_budgets(l, 'limited-3', '{1,2}', NULL, 'gpt-4o-mini', NULL);
          ELSIF p_what = 'path' THEN x := member_path('org:limited', 'limited-3');
          ELSIF p_what = 'count' THEN
            IF v IS NULL THEN v := find_budgets(l, 'limited-3', '{1,2}', NULL, 'gpt-4o-mini', NULL); END IF;
            PERFORM count_budgets('org:limited', v.periods, (1,1,1,1), (0,0,0,0));
          END IF;
        END LOOP;
        RETURN extract(epoch FROM clock_timestamp() - t) * 1e6 / p_n;
      END $$`);
    for (const what of ['none', 'path', 'find', 'count']) for (const n of [16, 64, 64]) {
      const r = [];
      for (let i = 0; i < 15; i++) r.push(Number((await client.query('SELECT zz($1,$2) AS x', [n, what])).rows[0].x));
      console.log(what, n, r.sort((a, b) => a - b)[7].toFixed(1), 'min', r[0].toFixed(1));
    }
  }
  const { rows } = await db.owner.query("SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname IN ('budget_periods','credit_balances','lots')");
  console.log(rows);
  return true;
});
