import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { blended, CHEAP_MODEL, DEAR_MODEL, MODELS, userPrice } from './models.js';
import type { DemoOrganisation } from './organisations.js';
import type { Person } from './people.js';
import { request } from './requests.js';
import { SeededRandom } from './seeded-random.js';

/** Streams at once. */
const STREAMS = 7;
const PROGRESS_MILLISECONDS = 1500;
/** Tokens between two reports: a chat takes a minute, so that a day of it is not more than a day of the month was. */
const LEAST_TOKENS = 12;
const MOST_TOKENS = 48;
/** How often a user without credits tries again. */
const RETRY_MILLISECONDS = 5000;
const CHATS = MODELS.filter(({ isEmbedding }) => !isEmbedding).map(({ id, weight }) => [id, weight] as const);

export interface LiveTraffic {
  /** Sessions that have been started. */
  started(): number;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
}

/**
 * Chats that go on while the demo runs: real requests, as a chat service would make them. Sessions start, report their
 * progress, end in every way, and some never report again. A user without credits keeps trying, and continues with new ones.
 *
 * @param tokenOf an access token of a user
 */
export function startLiveTraffic(
  url: string,
  people: readonly Person[],
  organisations: readonly DemoOrganisation[],
  tokenOf: (person: Person) => string,
  seed: number,
): LiveTraffic {
  const stopped = new AbortController();
  // Each stream listens for its end.
  setMaxListeners(0, stopped.signal);
  const callers = people.filter(
    ({ callsPerDay, story }) => callsPerDay >= 3 && (!story || story === 'healthy'),
  );
  let started = 0;
  const streams = Array.from({ length: STREAMS }, async (_, index) => {
    const random = new SeededRandom(seed + index + 1);
    const stream = new Stream(url, random, stopped.signal);
    // Not all at once.
    await rest(index * 400, stopped.signal);
    // The first that begins is lost, so that there is one to be found.
    let isLost = index === 0;
    while (!stopped.signal.aborted) {
      const person = random.pick(callers.length > 0 ? callers : people);
      if (await stream.chat(tokenOf(person), { isLost })) {
        started++;
        isLost = random.chance(0.04);
      }
      await rest(random.integer(300, 4000), stopped.signal);
    }
  });
  const tries = people
    .filter(({ story }) => story === 'out of credits')
    .map(async (person, index) => {
      const stream = new Stream(url, new SeededRandom(seed + STREAMS + index + 1), stopped.signal);
      await stream.spendTheRest(tokenOf(person));
      while (!stopped.signal.aborted) {
        if (await stream.chat(tokenOf(person), { modelId: DEAR_MODEL })) started++;
        await rest(RETRY_MILLISECONDS, stopped.signal);
      }
    });
  const shared = organisations.flatMap(({ id: accountId, members, streams: count }, place) =>
    Array.from({ length: count }, async (_, index) => {
      const random = new SeededRandom(seed + 1000 * (place + 1) + index);
      const stream = new Stream(url, random, stopped.signal);
      while (!stopped.signal.aborted) {
        if (await stream.chat(tokenOf(random.pick(members)), { accountId, modelId: CHEAP_MODEL })) started++;
        await rest(random.integer(2000, RETRY_MILLISECONDS), stopped.signal);
      }
    }),
  );
  return {
    started: () => started,
    stop: async () => {
      stopped.abort();
      await Promise.all([...streams, ...tries, ...shared]);
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
  async chat(
    token: string,
    {
      modelId = this.random.weighted(CHATS),
      isLost = false,
      accountId,
    }: { modelId?: string; isLost?: boolean; accountId?: string },
  ): Promise<boolean> {
    const { random } = this;
    const sessionId = `chat-${(Date.now() % 1e9).toString(36)}${random.integer(0, 35).toString(36)}`;
    const estimatedOutputTokens = random.around(700);
    const estimatedInputTokens = random.around(1800);
    const session = { sessionId, ...(accountId === undefined ? {} : { accountId }) };
    const begin = { ...session, modelId, estimatedInputTokens, estimatedOutputTokens };
    if (!(await this.send('/streaming-sessions/initialize', begin, token))) return false;
    const total = Math.round(estimatedOutputTokens * (0.4 + random.integer(0, 100) / 100));
    let tokensGenerated = 0;
    while (tokensGenerated < total && !this.signal.aborted) {
      await rest(PROGRESS_MILLISECONDS, this.signal);
      tokensGenerated = Math.min(total, tokensGenerated + random.integer(LEAST_TOKENS, MOST_TOKENS));
      const answer = await this.send('/streaming-sessions/progress', { ...session, tokensGenerated }, token);
      if (answer?.shouldStop) break;
      if (random.chance(0.003)) {
        await this.send('/streaming-sessions/abort', session, token);
        return true;
      }
      // Now and then a client is lost: the service ends its session.
      if (isLost && !this.signal.aborted) return true;
    }
    const success = !random.chance(0.05);
    const made = { inputTokens: estimatedInputTokens, outputTokens: tokensGenerated };
    await this.send('/streaming-sessions/finalize', { ...session, ...made, success }, token);
    return true;
  }

  /** One call that costs all that is left. */
  async spendTheRest(token: string): Promise<void> {
    const left = (await this.send('/credits/balance', undefined, token))?.totalCredits ?? 0;
    const price = MODELS.find(({ id }) => id === DEAR_MODEL)?.price;
    if (left === 0 || price === undefined) return;
    // Credits are whole: what the last token leaves of one is charged as well.
    const tokens = Math.floor((left * 1000) / userPrice(blended(price)));
    const call = { requestId: `last-${Date.now()}`, modelId: DEAR_MODEL, tokens, service: 'chat' };
    await this.send('/usage/charge', call, token);
  }

  private send(path: string, body: object | undefined, token: string): Promise<Answer | undefined> {
    return request<Answer>(`${this.url}/api${path}`, { authorization: `Bearer ${token}` }, body);
  }
}

interface Answer {
  readonly shouldStop?: boolean;
  readonly totalCredits?: number;
}

/** Waits, unless it is all over. */
async function rest(milliseconds: number, signal: AbortSignal): Promise<void> {
  await pause(milliseconds, undefined, { signal }).catch(() => undefined);
}
