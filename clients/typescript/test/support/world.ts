import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Accounting, type AccountingOptions } from '../../src/index.js';

/** A running service and a running provider. */
export interface World {
  url: string;
  internalApiKey: string;
  adminToken: string;
  jwtSecret: string;
  provider: string;
}

export const GPT = 'gpt-4o-mini';
export const CLAUDE = 'claude-sonnet-5';

/** One credit for each token, half for a cached one: credits are tokens, so that every assertion can be read. */
export async function importPrices(world: World): Promise<void> {
  const price = {
    input_cost_per_token: 0.001,
    output_cost_per_token: 0.001,
    cache_read_input_token_cost: 0.0005,
  };
  const models = {
    [GPT]: { litellm_provider: 'openai', mode: 'chat', ...price },
    [CLAUDE]: { litellm_provider: 'anthropic', mode: 'chat', ...price },
  };
  await call(world, 'POST', '/pricing/import', models);
}

/** As an admin. @throws Error for an answer that is none of 2xx */
export async function call<Answer>(
  world: World,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${world.url}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${world.adminToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as Answer;
}

export interface Record_ {
  credits: number;
  sessionId: string | null;
  requestId: string | null;
  service: string;
  usageSource: string;
  quantities: Record<string, number>;
  serviceTier: string;
  tags: Record<string, string> | null;
  accountId: string;
}

/** What a user has, holds and was charged. */
export class User {
  readonly id = `user-${randomUUID().slice(0, 12)}`;

  constructor(private readonly world: World) {}

  static async with(world: World, credits: number): Promise<User> {
    const user = new User(world);
    await call(world, 'POST', '/credits/allocate', { userId: user.id, credits });
    return user;
  }

  accounting(options: Partial<AccountingOptions> = {}): Accounting {
    const { url, internalApiKey } = this.world;
    const onError = (error: Error) => {
      throw error;
    };
    return new Accounting({ baseUrl: url, internalApiKey, userId: this.id, onError, ...options });
  }

  async records(): Promise<Record_[]> {
    const page = await call<{ items: Record_[] }>(this.world, 'GET', `/usage/records/user/${this.id}`);
    return page.items;
  }

  /** Also those beyond a page. */
  async allRecords(): Promise<Record_[]> {
    const all: Record_[] = [];
    let cursor: string | null = '';
    do {
      const after: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const page: { items: Record_[]; nextCursor: string | null } = await call(
        this.world,
        'GET',
        `/usage/records/user/${this.id}?limit=200${after}`,
      );
      all.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== null);
    return all;
  }

  /** The one record; fails if there are more or none. */
  async onlyRecord(): Promise<Record_> {
    const records = await this.records();
    if (records.length !== 1) throw new Error(`${records.length} records: ${JSON.stringify(records)}`);
    return records[0] as Record_;
  }

  async openSessions(): Promise<number> {
    return (await call<unknown[]>(this.world, 'GET', `/streaming-sessions/active/${this.id}`)).length;
  }

  /** Credits that are neither spent nor held. */
  async available(): Promise<number> {
    const balance = await call<{ totalCredits: number }>(this.world, 'GET', `/credits/balance/${this.id}`);
    return balance.totalCredits;
  }
}

export interface Billed {
  requests: number;
  inputTokens: number;
  cachedInputTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  sentTokens: number;
  isOpen: boolean;
  clientLeft: boolean;
  maxTokens: number | null;
}

/** What the provider billed under an id, when it has finished; undefined: it was not called. */
export async function billed(world: World, id: string): Promise<Billed | undefined> {
  for (;;) {
    const response = await fetch(`${world.provider}/billed/${id}`);
    if (response.status === 404) return undefined;
    const record = (await response.json()) as Billed;
    if (!record.isOpen) return record;
    await pause(10);
  }
}

/** Waits for what happens in the background. @throws Error after ten seconds */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await condition()) return;
    await pause(20);
  }
  throw new Error(`It did not happen within 10 s: ${what}`);
}

/** The header that says how the fake provider behaves. */
export const fake = (scenario: Record<string, unknown>) => ({
  headers: { 'x-fake': JSON.stringify(scenario) },
});

/** Words of one token each, so that the provider and the tokenizer count alike. */
export const PROMPT =
  'the that and with for this was from are have one they you were all when has will who more';
