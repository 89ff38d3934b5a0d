import { setTimeout as pause } from 'node:timers/promises';
import { MODELS } from './models.js';
import type { Person } from './people.js';
import { SeededRandom } from './seeded-random.js';

/** Streams at once. */
const STREAMS = 7;
const PROGRESS_MILLISECONDS = 1500;
const CHATS = MODELS.filter(({ isEmbedding }) => !isEmbedding).map(({ id, weight }) => [id, weight] as const);

export interface LiveTraffic {
  /** Sessions that have been started. */
  started(): number;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/**
 * Chats that go on while the demo runs: real requests, as a chat service would make them. Sessions start, report their
 * progress, end in every way, and some are never heard of again.
 *
 * @param tokenOf an access token of a user
 */
export function startLiveTraffic(
  url: string,
  people: readonly Person[],
  tokenOf: (person: Person) => string,
  seed: number,
): LiveTraffic {
  const stopped = new AbortController();
  const callers = people.filter(
    ({ callsPerDay, story }) => callsPerDay >= 3 && (!story || story === 'healthy'),
  );
  let started = 0;
  const streams = Array.from({ length: STREAMS }, async (_, index) => {
    const random = new SeededRandom(seed + index + 1);
    const stream = new Stream(url, random, stopped.signal);
    // Not all at once.
    await rest(index * 400, stopped.signal);
    while (!stopped.signal.aborted) {
      const person = random.pick(callers.length > 0 ? callers : people);
      if (await stream.chat(tokenOf(person), `live-${index}-${(Date.now() % 1e9).toString(36)}`)) started++;
      await rest(random.integer(300, 4000), stopped.signal);
    }
  });
  return {
    started: () => started,
    stop: async () => {
      stopped.abort();
      await Promise.all(streams);
    },
  };
}

class Stream {
  constructor(
    private readonly url: string,
    private readonly random: SeededRandom,
    private readonly signal: AbortSignal,
  ) {}

  /** One session from its start to its end; false when it could not begin. */
  async chat(token: string, sessionId: string): Promise<boolean> {
    const { random } = this;
    const modelId = random.weighted(CHATS);
    const estimatedOutputTokens = random.around(700);
    const estimatedInputTokens = random.around(1800);
    const begin = { sessionId, modelId, estimatedInputTokens, estimatedOutputTokens };
    if (!(await this.send('initialize', begin, token))) return false;
    const total = Math.round(estimatedOutputTokens * (0.4 + random.integer(0, 100) / 100));
    let tokensGenerated = 0;
    while (tokensGenerated < total && !this.signal.aborted) {
      await rest(PROGRESS_MILLISECONDS, this.signal);
      tokensGenerated = Math.min(total, tokensGenerated + random.integer(30, 140));
      const answer = await this.send('progress', { sessionId, tokensGenerated }, token);
      if (answer?.shouldStop) break;
      if (random.chance(0.01)) {
        await this.send('abort', { sessionId }, token);
        return true;
      }
    }
    // Now and then a client is lost: the service ends its session.
    if (random.chance(0.04) && !this.signal.aborted) return true;
    const success = !random.chance(0.05);
    const made = { inputTokens: estimatedInputTokens, outputTokens: tokensGenerated };
    await this.send('finalize', { sessionId, ...made, success }, token);
    return true;
  }

  /** The answer to a request that was accepted; undefined for one that was refused or could not be made. */
  private async send(
    step: string,
    body: object,
    token: string,
  ): Promise<{ shouldStop?: boolean } | undefined> {
    try {
      const answer = await fetch(`${this.url}/api/streaming-sessions/${step}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      const content = (await answer.json()) as { shouldStop?: boolean };
      return answer.ok ? content : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Waits, unless it is all over. */
async function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  await pause(milliseconds, undefined, { signal }).catch(() => undefined);
}
