import { setTimeout as pause } from 'node:timers/promises';
import { SONNET } from '../../support/money.js';
import type { Bell, ChaosClient } from './client.js';

/** Longest pause of a client between two things it does. */
const THINK_MILLISECONDS = 40;

/** Gives the client's user a first lot. */
export async function endow(client: ChaosClient, name: string, credits: number): Promise<void> {
  const { userId } = client;
  await client.ask('balance', `${name}-first`, {});
  const key = `${name}-endowment`;
  await client.ask('allocate', key, { userId, credits, notes: key });
}

/** Does one random thing after the other until the bell rings. */
export async function work(client: ChaosClient, name: string, bell: Bell): Promise<void> {
  for (let number = 0; bell.rungAt === undefined; number++) {
    await doSomething(client, `${name}-${number}`);
    await pause(client.random.integer(0, THINK_MILLISECONDS));
  }
}

async function doSomething(client: ChaosClient, key: string): Promise<void> {
  const { random, userId } = client;
  const choice = random.integer(1, 100);
  if (choice <= 15) {
    const [credits, expiryDays] = [random.integer(1, 60), random.integer(1, 90)];
    await client.ask('allocate', key, { userId, credits, expiryDays, notes: key });
  } else if (choice <= 30) {
    await client.ask('deduct', key, { userId, credits: random.integer(1, 40), notes: key });
  } else if (choice <= 55) {
    const onInsufficient = random.pick(['reject', 'review']);
    const tokens = random.integer(0, 12_000);
    await client.ask('charge', key, { requestId: key, modelId: SONNET, tokens, onInsufficient });
  } else if (choice <= 62) {
    const credits = random.integer(0, 50);
    await client.ask('record', key, { service: 'other', operation: 'op', credits, metadata: { key } });
  } else if (choice <= 65) {
    await client.ask('balance', key, {});
  } else {
    await stream(client, key);
  }
}

/** A streaming session from its start to its end; some clients walk away in the middle. */
async function stream(client: ChaosClient, sessionId: string): Promise<void> {
  const { random } = client;
  const estimatedTokens = random.integer(1, 12_000);
  const started = await client.ask('initialize', sessionId, { sessionId, modelId: SONNET, estimatedTokens });
  if (started === undefined || started.status >= 300) return;
  let tokens = 0;
  for (let reports = random.integer(0, 3); reports > 0; reports--) {
    tokens += random.integer(1, 5000);
    await client.ask('progress', sessionId, { sessionId, tokensGenerated: tokens });
  }
  if (random.chance(0.05)) return;
  if (random.chance(0.75)) {
    const body = { sessionId, actualTokens: tokens + random.integer(0, 2000), success: random.chance(0.9) };
    await client.ask('finalize', sessionId, body);
  } else {
    await client.ask('abort', sessionId, { sessionId, tokensGenerated: tokens });
  }
}
