import { randomUUID } from 'node:crypto';
import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, inject, it } from 'vitest';
import { CreditsExhausted as CoreCreditsExhausted } from '../src/index.js';
import { CreditsExhausted, metered } from '../src/anthropic.js';
import { billed, CLAUDE, fake, PROMPT, until, User } from './support/world.js';

const world = inject('world');
const plain = new Anthropic({ apiKey: 'any', baseURL: world.provider });
const request = { model: CLAUDE, max_tokens: 1000, messages: [{ role: 'user' as const, content: PROMPT }] };
const streamed = { ...request, stream: true as const };

async function read(stream: AsyncIterable<unknown>, chunks = Infinity): Promise<void> {
  let seen = 0;
  for await (const _ of stream) if (++seen >= chunks) break;
}

describe('messages', () => {
  it.each([
    ['text', {}, { tokens: 40 }],
    ['a cached prompt', {}, { tokens: 40, cached: 30 }],
    ['thinking', {}, { tokens: 20, reasoning: 12 }],
    ['a tool call', {}, { tokens: 20, tool: true }],
    ['an answer cut off', { max_tokens: 25 }, { tokens: 200 }],
  ])('charges %s by the usage of the provider, streamed and not', async (_name, body, scenario) => {
    const user = await User.with(world, 100_000);
    const claude = metered(plain, { accounting: user.accounting() });
    const ids = [randomUUID(), randomUUID()];
    await read(await claude.messages.create({ ...streamed, ...body }, fake({ ...scenario, id: ids[0] })));
    await claude.messages.create({ ...request, ...body }, fake({ ...scenario, id: ids[1] }));
    const records = await user.records();
    expect(records.map(({ usageSource }) => usageSource)).toEqual(['provider', 'provider']);
    for (const id of ids) {
      const cost = (await billed(world, id))!;
      const credits = Math.ceil(cost.inputTokens + cost.cachedInputTokens / 2 + cost.outputTokens);
      expect(records.map((record) => record.credits)).toContain(credits);
    }
  });

  it('keeps the helpers of the SDK working: stream, parse, withResponse, beta', async () => {
    const user = await User.with(world, 100_000);
    const claude = metered(plain, { accounting: user.accounting() });
    expect(
      (await claude.messages.stream(request, fake({ tokens: 7 })).finalText()).trim().split(' '),
    ).toHaveLength(7);
    expect((await claude.messages.parse(request, fake({ tokens: 7 }))).content).toHaveLength(1);
    const { data, response } = await claude.messages.create(streamed, fake({ tokens: 7 })).withResponse();
    expect(response.status).toBe(200);
    await read(data);
    expect(await claude.beta.messages.stream(request, fake({ tokens: 7 })).finalText()).toContain('the');
    expect(await user.records()).toHaveLength(4);
  });
});

describe('one settlement, however a stream ends', () => {
  it('the consumer leaves: the reported input, with what was cached, and an estimate of the output', async () => {
    const user = await User.with(world, 100_000);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting() });
    const scenario = fake({ id, tokens: 300, cached: 40, everyMs: 1, goOn: false });
    await read(await claude.messages.create(streamed, scenario), 100);
    const [record, cost] = [await user.onlyRecord(), (await billed(world, id))!];
    expect(record).toMatchObject({
      usageSource: 'estimated',
      quantities: { input: cost.inputTokens, cached_input: 40 },
    });
    // There is no tokenizer for the model: characters / 4, or what calls before have taught.
    expect(Math.abs(record.quantities.output! - cost.outputTokens) / cost.outputTokens).toBeLessThan(0.25);
  });

  it('the consumer leaves after calls that reported their usage: an estimate within 5 %', async () => {
    const user = await User.with(world, 100_000);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting() });
    await read(await claude.messages.create(streamed, fake({ tokens: 200 })));
    await read(
      await claude.messages.create(streamed, fake({ id, tokens: 300, everyMs: 2, goOn: false })),
      120,
    );
    const [{ credits }, cost] = [(await user.records())[0]!, (await billed(world, id))!];
    const bill = cost.inputTokens + cost.outputTokens;
    expect(Math.abs(credits - bill) / bill).toBeLessThanOrEqual(0.05);
  });

  it('the consumer leaves, and the policy is to drain: the usage of the provider, exactly', async () => {
    const user = await User.with(world, 100_000);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting({ onLeave: { anthropic: 'drain' } }) });
    await read(await claude.messages.create(streamed, fake({ id, tokens: 300, everyMs: 1 })), 20);
    await until('settled', async () => (await user.records()).length === 1);
    const cost = (await billed(world, id))!;
    expect(await user.onlyRecord()).toMatchObject({
      usageSource: 'drained',
      credits: cost.inputTokens + 300,
    });
  });

  it('a helper that is aborted', async () => {
    const user = await User.with(world, 100_000);
    const claude = metered(plain, { accounting: user.accounting() });
    const helper = claude.messages.stream(request, fake({ tokens: 300, everyMs: 1 }));
    helper.on('text', () => helper.abort());
    await expect(helper.done()).rejects.toBeInstanceOf(Anthropic.APIUserAbortError);
    await until('settled', async () => (await user.records()).length === 1);
    expect((await user.onlyRecord()).usageSource).toBe('estimated');
  });

  it.each([
    ['an error event', { failAfterTokens: 40 }],
    ['a cut connection', { cutAfterTokens: 40 }],
  ])('the provider fails in mid-stream: %s', async (_name, scenario) => {
    const user = await User.with(world, 100_000);
    const claude = metered(plain, { accounting: user.accounting() });
    await expect(
      read(await claude.messages.create(streamed, fake({ tokens: 300, ...scenario }))),
    ).rejects.toThrow();
    expect(await user.onlyRecord()).toMatchObject({
      service: 'chat-streaming-failed',
      usageSource: 'estimated',
    });
  });

  it('the provider is overloaded: the SDK retries in one hold, then its error arrives and nothing is charged', async () => {
    const user = await User.with(world, 100_000);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting() });
    const calling = claude.messages.create(streamed, fake({ id, failStatus: 529 }));
    await expect(calling).rejects.toMatchObject({ status: 529 });
    expect((await billed(world, id))!.requests).toBe(3);
    expect(await user.available()).toBe(100_000);
    expect(await user.openSessions()).toBe(0);
  });
});

describe('when the credits run out', () => {
  it('lowers max_tokens to what the credits pay for', async () => {
    const user = await User.with(world, 100);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting() });
    await read(await claude.messages.create(streamed, fake({ id, tokens: 500 })));
    const cost = (await billed(world, id))!;
    expect(cost.maxTokens).toBeLessThan(100);
    expect((await user.onlyRecord()).credits).toBe(cost.inputTokens + cost.maxTokens!);
  });

  it('refuses a call that the credits do not pay for with an APIError of 402', async () => {
    const user = await User.with(world, 30);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting() });
    const error: unknown = await claude.messages
      .create(request, fake({ id }))
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Anthropic.APIError);
    expect(error).toBeInstanceOf(CreditsExhausted);
    expect(error).toBeInstanceOf(CoreCreditsExhausted);
    expect(error).toMatchObject({ status: 402, code: 'credits.insufficient', limits: [] });
    expect(await billed(world, id)).toBeUndefined();
  });

  it('refuses a call whose thinking alone would take more than the credits pay for', async () => {
    const user = await User.with(world, 1000);
    const id = randomUUID();
    const claude = metered(plain, { accounting: user.accounting() });
    const thinking = { type: 'enabled' as const, budget_tokens: 2000 };
    const calling = claude.messages.create({ ...request, max_tokens: 4000, thinking }, fake({ id }));
    await expect(calling).rejects.toBeInstanceOf(CreditsExhausted);
    expect(await billed(world, id)).toBeUndefined();
  });
});

it('refuses to meter a client twice', async () => {
  const accounting = (await User.with(world, 1)).accounting();
  expect(() => metered(metered(plain, { accounting }), { accounting })).toThrow(/metered already/);
});
