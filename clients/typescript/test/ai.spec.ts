import { randomUUID } from 'node:crypto';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, stepCountIs, streamText, tool, wrapLanguageModel } from 'ai';
import { describe, expect, inject, it } from 'vitest';
import { meteringMiddleware } from '../src/ai.js';
import { type Accounting, CreditsExhausted } from '../src/index.js';
import { billed, CLAUDE, fake, GPT, PROMPT, until, User } from './support/world.js';

const world = inject('world');
const openai = createOpenAI({ apiKey: 'any', baseURL: `${world.provider}/v1` });
const anthropic = createAnthropic({ apiKey: 'any', baseURL: `${world.provider}/v1` });
type Model = Parameters<typeof wrapLanguageModel>[0]['model'];
const models: [string, () => Model][] = [
  ['openai.responses', () => openai(GPT)],
  ['openai.chat', () => openai.chat(GPT)],
  ['anthropic', () => anthropic(CLAUDE)],
];
const metered = (model: Model, accounting: Accounting) =>
  wrapLanguageModel({ model, middleware: meteringMiddleware({ accounting }) });

async function read(stream: AsyncIterable<unknown>, chunks = Infinity): Promise<void> {
  let seen = 0;
  for await (const _ of stream) if (++seen >= chunks) break;
}

describe.each(models)('%s', (_name, model) => {
  it('charges by the usage of the provider, streamed and not', async () => {
    const user = await User.with(world, 100_000);
    const wrapped = metered(model(), user.accounting());
    const ids = [randomUUID(), randomUUID()];
    const scenario = (id: string | undefined) => fake({ id, tokens: 30, cached: 8 });
    await read(streamText({ model: wrapped, prompt: PROMPT, ...scenario(ids[0]) }).textStream);
    await generateText({ model: wrapped, prompt: PROMPT, ...scenario(ids[1]) });
    const records = await user.records();
    expect(records.map(({ usageSource }) => usageSource)).toEqual(['provider', 'provider']);
    for (const id of ids) {
      const cost = (await billed(world, id))!;
      expect(records.map(({ credits }) => credits)).toContain(cost.inputTokens + 4 + cost.outputTokens);
    }
  });

  it('the consumer aborts: one settlement with an estimate', async () => {
    const user = await User.with(world, 100_000);
    const wrapped = metered(model(), user.accounting());
    const leaving = new AbortController();
    const scenario = fake({ tokens: 300, everyMs: 2 });
    const { textStream } = streamText({
      model: wrapped,
      prompt: PROMPT,
      abortSignal: leaving.signal,
      ...scenario,
    });
    let seen = 0;
    for await (const _ of textStream) if (++seen === 20) leaving.abort();
    await until('settled', async () => (await user.records()).length === 1);
    expect(await user.onlyRecord()).toMatchObject({ service: 'chat-streaming', usageSource: 'estimated' });
  });

  it('the consumer leaves without a signal: one settlement', async () => {
    const user = await User.with(world, 100_000);
    const wrapped = metered(model(), user.accounting());
    await read(
      streamText({ model: wrapped, prompt: PROMPT, ...fake({ tokens: 300, everyMs: 1 }) }).textStream,
      10,
    );
    await until('settled', () => {
      globalThis.gc!();
      return user.records().then((records) => records.length === 1);
    });
    expect(await user.openSessions()).toBe(0);
  });

  it('lowers the maximum to what the credits pay for', async () => {
    const user = await User.with(world, 100);
    const id = randomUUID();
    await generateText({
      model: metered(model(), user.accounting()),
      prompt: PROMPT,
      ...fake({ id, tokens: 500 }),
    });
    expect((await billed(world, id))!.maxTokens).toBeLessThan(100);
  });

  it('stops a running stream with CreditsExhausted', async () => {
    const user = await User.with(world, 400);
    const accounting = user.accounting({ progress: { everyTokens: 10 }, maxOutputTokens: 50 });
    const scenario = fake({ tokens: 3000, everyMs: 4, goOn: false });
    let error: unknown;
    const { textStream } = streamText({
      model: metered(model(), accounting),
      prompt: PROMPT,
      onError: (event) => void (error = event.error),
      ...scenario,
      // Anthropic's provider always names a maximum to the API; it is not the caller's.
    });
    await read(textStream).catch((caught: unknown) => (error = caught));
    expect(error).toBeInstanceOf(CreditsExhausted);
    expect(error).toMatchObject({ status: 402, code: 'credits.insufficient' });
    expect(await user.onlyRecord()).toMatchObject({
      service: 'chat-streaming-failed',
      usageSource: 'estimated',
    });
  });

  it('refuses a call that the credits do not pay for, before any request and without a retry', async () => {
    const user = await User.with(world, 20);
    const id = randomUUID();
    const calling = generateText({
      model: metered(model(), user.accounting()),
      prompt: PROMPT,
      ...fake({ id }),
    });
    await expect(calling).rejects.toBeInstanceOf(CreditsExhausted);
    expect(await billed(world, id)).toBeUndefined();
  });

  it('the provider fails in mid-stream: one settlement as failed', async () => {
    const user = await User.with(world, 100_000);
    const model_ = metered(model(), user.accounting());
    const scenario = fake({ tokens: 300, cutAfterTokens: 40 });
    const { textStream } = streamText({
      model: model_,
      prompt: PROMPT,
      onError: () => undefined,
      ...scenario,
    });
    await read(textStream).catch(() => undefined);
    await until('settled', async () => (await user.records()).length === 1);
    expect(await user.onlyRecord()).toMatchObject({
      service: 'chat-streaming-failed',
      usageSource: 'estimated',
    });
  });

  it('the SDK retries: one hold, one charge', async () => {
    const user = await User.with(world, 100_000);
    const id = randomUUID();
    const scenario = fake({ id, tokens: 30, failStatus: 500, failTimes: 1 });
    await generateText({ model: metered(model(), user.accounting()), prompt: PROMPT, ...scenario });
    expect((await billed(world, id))!.requests).toBe(2);
    expect((await user.onlyRecord()).quantities.output).toBe(30);
    expect(await user.openSessions()).toBe(0);
  });
});

it('releases the hold of a call that is not retried', async () => {
  const user = await User.with(world, 100_000);
  const model = metered(openai.chat(GPT), user.accounting());
  await expect(
    generateText({ model, prompt: PROMPT, maxRetries: 0, ...fake({ failStatus: 500 }) }),
  ).rejects.toThrow();
  await until('released', async () => (await user.openSessions()) === 0);
  expect(await user.available()).toBe(100_000);
});

it('charges each step of a loop of tools', async () => {
  const user = await User.with(world, 100_000);
  const inputSchema = jsonSchema<{ query: string }>({
    type: 'object',
    properties: { query: { type: 'string' } },
  });
  await generateText({
    model: metered(openai.chat(GPT), user.accounting()),
    prompt: PROMPT,
    tools: { look_up: tool({ description: 'Looks up', inputSchema, execute: () => 'the answer' }) },
    stopWhen: stepCountIs(3),
    ...fake({ tokens: 10, tool: true }),
  });
  expect(await user.records()).toHaveLength(3);
});

it('refuses a model that is metered twice before any request to the provider', async () => {
  const user = await User.with(world, 100_000);
  const id = randomUUID();
  const twice = metered(metered(openai.chat(GPT), user.accounting()), user.accounting());
  const calling = generateText({ model: twice, prompt: PROMPT, ...fake({ id }) });
  await expect(calling).rejects.toMatchObject({ code: 'client.metered_twice' });
  expect(await billed(world, id)).toBeUndefined();
  expect(await user.available()).toBe(100_000);
});
