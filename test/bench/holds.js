import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { onEnd, runToEnd } from './cleanup.js';
import { startDatabase, startService } from './servers.js';

/**
 * What holds without an estimate are worth, on sessions as the demo has them: the service learns from one month, and the
 * sessions of another are played again over HTTP in three ways. Each reports progress every 200 tokens, as the clients do.
 *
 *   npm run bench:holds
 */
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const MAXIMUM = 4096;
const REPORT_EVERY = 200;
const LANES = 16;
const PLAYED = 2000;
const BALANCE = 5000;
const PLENTY = 1_000_000_000;
const INTERNAL_KEY = 'bench-of-holds-internal-key-0123456789';
const WAYS = {
  'estimate of the caller': ({ input, estimate }) => ({
    estimatedInputTokens: input,
    estimatedOutputTokens: estimate,
  }),
  'estimate = maximum': ({ input }) => ({ estimatedInputTokens: input, estimatedOutputTokens: MAXIMUM }),
  'inputTokens, maxOutputTokens': ({ input }) => ({ inputTokens: input, maxOutputTokens: MAXIMUM }),
};

await runToEnd(run);

async function run() {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-holds-'));
  onEnd(() => rm(directory, { recursive: true, force: true }));
  const database = await startDatabase(DIST, join(directory, 'postgres'));
  onEnd(() => database.stop());
  const { playMonth } = await import(join(DIST, 'src/demo/history.js'));
  const { makeMonth } = await import(join(DIST, 'src/demo/month.js'));
  const events = { lowThreshold: 100, creditsExpiringDays: 3, keysExpiringDays: 7 };
  const month = (seed) => makeMonth({ seed, users: seed === 1 ? 1000 : 400, now: Date.now() });
  await playMonth(database.ownerUrl, month(1), events, new AbortController().signal);
  let mayHaveMore = true;
  while (mayHaveMore)
    ({
      rows: [{ mayHaveMore }],
    } = await database.owner.query('SELECT output_lengths_learn() AS "mayHaveMore"'));
  // As on a platform that is four times as large as the demo.
  await database.owner.query('UPDATE output_lengths SET weight = 4 * weight');
  const { rows } = await database.owner.query('SELECT sum(weight)::integer AS weight FROM output_lengths');
  console.log(`Learned from sessions with a weight of ${rows[0].weight}.`);

  const service = await startService(DIST, database.url, {
    INTERNAL_API_KEY: INTERNAL_KEY,
    SWEEP_INTERVAL_SECONDS: '1',
    HOLD_QUANTILE: process.env.HOLD_QUANTILE ?? '0.8',
    RATE_LIMIT_MAX: '1000000000',
  });
  onEnd(() => service.stop());
  const post = async (path, body) => {
    const response = await fetch(`http://127.0.0.1:${service.port}/api${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-internal-api-key': INTERNAL_KEY },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  await pause(3000);
  const sessions = sessionsOf(month(2)).slice(0, PLAYED);
  console.log(`${sessions.length} sessions of another month, of at most ${MAXIMUM} output tokens.\n`);
  console.log('| way | hold / cost, median | 90 % | mean | learned | grew | at once on ' + BALANCE + ' |');
  console.log('|---|--:|--:|--:|--:|--:|--:|');
  for (const [way, estimateOf] of Object.entries(WAYS)) {
    const userId = `holds-${way.replace(/\W+/g, '-')}`;
    await allocate(userId, PLENTY);
    const played = [];
    let next = 0;
    const lane = async () => {
      while (next < sessions.length) {
        const index = next++;
        played.push(await play(userId, `s${index}`, sessions[index], estimateOf));
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    await allocate(`${userId}-few`, BALANCE);
    const atOnce = await openUntilRefused(`${userId}-few`, sessions, estimateOf);
    const ratios = played.map(({ ratio }) => ratio).sort((a, b) => a - b);
    const share = (which) => `${((100 * played.filter(which).length) / played.length).toFixed(1)} %`;
    console.log(
      `| ${way} | ${ratios[ratios.length >> 1].toFixed(2)} | ${ratios[Math.floor(ratios.length * 0.9)].toFixed(2)} ` +
        `| ${(played.reduce((sum, { hold }) => sum + hold, 0) / played.reduce((sum, { cost }) => sum + cost, 0)).toFixed(2)} ` +
        `| ${share(({ source }) => source === 'learned')} | ${share(({ grew }) => grew)} | ${atOnce} |`,
    );
  }

  async function allocate(userId, credits) {
    await database.owner.query(
      `SELECT credit_allocate($1, jsonb_build_object('accountId', $1::text, 'credits', $2::bigint, 'expiryDays', 30, 'actor', 'bench',
        'email', NULL, 'username', NULL))`,
      [userId, credits],
    );
  }

  async function play(userId, sessionId, session, estimateOf) {
    const named = { userId, sessionId };
    const started = await post('/streaming-sessions/initialize', {
      ...named,
      modelId: session.modelId,
      ...estimateOf(session),
    });
    if (started.status !== 201) throw new Error(`initialize: ${JSON.stringify(started.body)}`);
    let held = started.body.allocatedCredits;
    for (let tokens = REPORT_EVERY; tokens < session.output; tokens += REPORT_EVERY)
      held = (await post('/streaming-sessions/progress', { ...named, tokensGenerated: tokens })).body
        .allocatedCredits;
    const end = await post('/streaming-sessions/finalize', { ...named, quantities: session.quantities });
    if (end.status !== 200) throw new Error(`finalize: ${JSON.stringify(end.body)}`);
    const hold = started.body.allocatedCredits;
    const cost = end.body.actualCredits;
    return { hold, cost, ratio: hold / cost, source: started.body.estimateSource, grew: held > hold };
  }

  async function openUntilRefused(userId, sessions, estimateOf) {
    for (const [index, session] of sessions.entries()) {
      const body = { userId, sessionId: `s${index}`, modelId: session.modelId, ...estimateOf(session) };
      if ((await post('/streaming-sessions/initialize', body)).status === 402) return index;
    }
    return `more than ${sessions.length}`;
  }
}

/** The sessions that ended with a usage: their model, input and estimate, and what they used. */
function sessionsOf({ calls }) {
  const ends = new Map();
  for (const { operation, request } of calls)
    if (operation === 'session_settle' && request.success)
      ends.set(`${request.accountId} ${request.sessionId}`, request.quantities);
  return calls.flatMap(({ operation, request }) => {
    const quantities = ends.get(`${request.accountId} ${request.sessionId}`);
    if (operation !== 'session_hold' || quantities === undefined || quantities.output > MAXIMUM) return [];
    const { modelId, estimatedInputTokens: input, estimatedOutputTokens: estimate } = request;
    return [{ modelId, input, estimate, output: quantities.output, quantities }];
  });
}
