import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';
import { describe, expect, inject, it } from 'vitest';
import { AccountingError, CreditsExhausted as CoreCreditsExhausted } from '../src/index.js';
import { AccountingRefused, CreditsExhausted, metered } from '../src/openai.js';
import { billed, fake, GPT, PROMPT, until, User } from './support/world.js';

const world = inject('world');
const plain = new OpenAI({ apiKey: 'any', baseURL: `${world.provider}/v1` });
const messages = [{ role: 'user' as const, content: PROMPT }];
const request = { model: GPT, messages, stream: true as const };

async function textOf(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  return text;
}

describe('chat completions', () => {
  it('charges a stream by the usage of the provider, once', async () => {
    const user = await User.with(world, 10_000);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting({ tags: { feature: 'chat' } }) });
    const text = await textOf(
      await openai.chat.completions.create(request, fake({ id, tokens: 60, cached: 8 })),
    );
    const cost = await billed(world, id);
    expect(text.trim().split(' ')).toHaveLength(60);
    expect(await user.onlyRecord()).toMatchObject({
      service: 'chat-streaming',
      usageSource: 'provider',
      credits: cost!.inputTokens + cost!.outputTokens + 4,
      quantities: { input: cost!.inputTokens, cached_input: 8, output: 60 },
      tags: { feature: 'chat' },
    });
    expect(await user.openSessions()).toBe(0);
  });

  it('hides the usage chunk that the caller did not ask for, and shows it to one who did', async () => {
    const user = await User.with(world, 10_000);
    const openai = metered(plain, { accounting: user.accounting() });
    const usages = async (options: object) => {
      const chunks = [];
      for await (const chunk of await openai.chat.completions.create({ ...request, ...options }))
        chunks.push(chunk);
      return chunks.filter((chunk) => chunk.choices.length === 0).length;
    };
    expect(await usages({})).toBe(0);
    expect(await usages({ stream_options: { include_usage: true } })).toBe(1);
  });

  it.each([
    ['several choices', { n: 3 }, { tokens: 20 }, 60],
    ['reasoning', {}, { tokens: 20, reasoning: 15 }, 35],
    ['a tool call', {}, { tokens: 20, tool: true }, 20],
  ])('charges %s as the provider does, streamed and not', async (_name, body, scenario, output) => {
    const user = await User.with(world, 100_000);
    const openai = metered(plain, { accounting: user.accounting() });
    await textOf(await openai.chat.completions.create({ ...request, ...body }, fake(scenario)));
    await openai.chat.completions.create({ ...request, ...body, stream: false }, fake(scenario));
    const records = await user.records();
    expect(records).toHaveLength(2);
    for (const { quantities } of records) {
      expect((quantities.output ?? 0) + (quantities.reasoning ?? 0)).toBe(output);
      expect(quantities.input).toBe(27);
    }
  });

  it('keeps the helpers of the SDK working: stream, parse, runTools, withResponse', async () => {
    const user = await User.with(world, 100_000);
    const openai = metered(plain, { accounting: user.accounting() });
    const body = { model: GPT, messages };
    const helper = openai.chat.completions.stream(body, fake({ tokens: 7 }));
    expect((await helper.finalChatCompletion()).choices[0]?.message.content?.trim().split(' ')).toHaveLength(
      7,
    );
    expect((await openai.chat.completions.parse(body, fake({ tokens: 7 }))).choices).toHaveLength(1);
    const runner = openai.chat.completions.runTools({ ...body, tools: [] }, fake({ tokens: 7 }));
    expect(await runner.finalContent()).toContain('the');
    const answer = await openai.chat.completions.create(request, fake({ tokens: 7 })).withResponse();
    expect(answer.response.status).toBe(200);
    await textOf(answer.data);
    expect(await user.records()).toHaveLength(4);
  });

  it('counts the prompt with the tokenizer of the model', async () => {
    const user = await User.with(world, 10_000);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting() });
    // The stream is left at once, so that the charge is the prompt as this client counts it.
    for await (const _ of await openai.chat.completions.create(
      request,
      fake({ id, everyMs: 5, goOn: false }),
    ))
      break;
    const [record, cost] = [await user.onlyRecord(), await billed(world, id)];
    expect(record.quantities.input).toBe(cost!.inputTokens);
  });
});

describe('responses', () => {
  it.each([
    ['text', {}, { tokens: 40, cached: 6 }],
    ['reasoning', {}, { tokens: 20, reasoning: 12 }],
    ['a tool call', {}, { tokens: 20, tool: true }],
    ['an incomplete answer', { max_output_tokens: 25 }, { tokens: 200 }],
  ])('charges %s by the usage of the provider, streamed and not', async (_name, body, scenario) => {
    const user = await User.with(world, 100_000);
    const openai = metered(plain, { accounting: user.accounting() });
    const ids = [randomUUID(), randomUUID()];
    const input = { model: GPT, input: PROMPT, ...body };
    for await (const _ of await openai.responses.create(
      { ...input, stream: true },
      fake({ ...scenario, id: ids[0] }),
    ));
    await openai.responses.create(input, fake({ ...scenario, id: ids[1] }));
    const records = await user.records();
    expect(records).toHaveLength(2);
    for (const id of ids) {
      const cost = (await billed(world, id))!;
      const credits = Math.ceil(cost.inputTokens + cost.cachedInputTokens / 2 + cost.outputTokens);
      expect(records.map((record) => record.credits)).toContain(credits);
    }
    expect(new Set(records.map((record) => record.usageSource))).toEqual(new Set(['provider']));
  });

  it('records an answer that failed as failed, with its usage', async () => {
    const user = await User.with(world, 10_000);
    const openai = metered(plain, { accounting: user.accounting() });
    const helper = openai.responses.stream(
      { model: GPT, input: PROMPT },
      fake({ tokens: 50, failAfterTokens: 10 }),
    );
    for await (const _ of helper);
    expect(await user.onlyRecord()).toMatchObject({
      service: 'chat-streaming-failed',
      usageSource: 'provider',
      quantities: { output: 10 },
    });
  });

  it('refuses a response in the background before any request', async () => {
    const user = await User.with(world, 10_000);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting() });
    const refused = openai.responses.create({ model: GPT, input: PROMPT, background: true }, fake({ id }));
    await expect(refused).rejects.toMatchObject({ code: 'client.background' });
    expect(await billed(world, id)).toBeUndefined();
    expect(await user.openSessions()).toBe(0);
  });
});

describe('when the credits run out', () => {
  it('spends the last credits: the request is limited to what they pay for', async () => {
    const user = await User.with(world, 100);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting() });
    const text = await textOf(await openai.chat.completions.create(request, fake({ id, tokens: 500 })));
    const cost = (await billed(world, id))!;
    expect(cost.maxTokens).toBeGreaterThanOrEqual(16);
    expect(text.trim().split(' ')).toHaveLength(cost.maxTokens!);
    expect((await user.onlyRecord()).credits).toBe(27 + cost.maxTokens!);
    expect(await user.available()).toBe(100 - 27 - cost.maxTokens!);
  });

  it.each(['max_tokens', 'max_completion_tokens'] as const)(
    'lowers %s where the caller asks for more',
    async (field) => {
      const user = await User.with(world, 100);
      const id = randomUUID();
      const openai = metered(plain, { accounting: user.accounting() });
      const asked = { ...request, [field]: 400 };
      await textOf(await openai.chat.completions.create(asked, fake({ id, tokens: 500 })));
      expect((await billed(world, id))!.maxTokens).toBeLessThan(100);
    },
  );

  it('leaves a lower maximum of the caller as it is', async () => {
    const user = await User.with(world, 10_000);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting() });
    await textOf(
      await openai.chat.completions.create({ ...request, max_tokens: 30 }, fake({ id, tokens: 500 })),
    );
    expect((await billed(world, id))!.maxTokens).toBe(30);
  });

  it('refuses a call that the credits do not pay for with an APIError of 402, before any request', async () => {
    const user = await User.with(world, 30);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting() });
    const error: unknown = await openai.chat.completions
      .create(request, fake({ id }))
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toBeInstanceOf(CreditsExhausted);
    expect(error).toBeInstanceOf(CoreCreditsExhausted);
    expect(error).toMatchObject({
      status: 402,
      code: 'credits.insufficient',
      availableCredits: 30,
      limits: [],
    });
    expect(await billed(world, id)).toBeUndefined();
  });

  it('stops a running stream: the partial text arrives, then CreditsExhausted, and what was used is charged', async () => {
    const user = await User.with(world, 400);
    const id = randomUUID();
    // The caller names no maximum, so the hold grows with the stream until the balance is used up.
    const accounting = user.accounting({ progress: { everyTokens: 10 }, maxOutputTokens: 50 });
    const openai = metered(plain, { accounting });
    const stream = await openai.chat.completions.create(
      request,
      // Slow beside the question whether to go on at the last credit.
      fake({ id, tokens: 3000, everyMs: 10, goOn: false }),
    );
    let tokens = 0;
    const reading = (async () => {
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) tokens++;
    })();
    const error: unknown = await reading.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CreditsExhausted);
    expect(error).toMatchObject({ status: 402, code: 'credits.insufficient', generatedTokens: tokens });
    const [record, cost] = [await user.onlyRecord(), (await billed(world, id))!];
    expect(record).toMatchObject({ service: 'chat-streaming-failed', usageSource: 'estimated' });
    expect(cost.clientLeft).toBe(true);
    expect(tokens).toBeGreaterThan(250);
    expect(Math.abs(record.credits - cost.inputTokens - cost.outputTokens)).toBeLessThanOrEqual(
      cost.outputTokens * 0.05,
    );
    expect(await user.openSessions()).toBe(0);
  });

  it('stops a stream at the last credit, however rare its reports are', async () => {
    const user = await User.with(world, 250);
    const openai = metered(plain, { accounting: user.accounting({ maxOutputTokens: 50 }) });
    const stream = await openai.chat.completions.create(
      request,
      fake({ tokens: 3000, everyMs: 2, goOn: false }),
    );
    let tokens = 0;
    const reading = (async () => {
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) tokens++;
    })();
    await expect(reading).rejects.toBeInstanceOf(CreditsExhausted);
    // It was given 223 tokens, as they are estimated while they stream.
    expect(tokens).toBeGreaterThan(180);
    expect(tokens).toBeLessThan(245);
    expect((await user.onlyRecord()).quantities.output).toBe(tokens);
  });

  it('does not stop a stream that the provider ends at the last credit', async () => {
    const user = await User.with(world, 400);
    const openai = metered(plain, { accounting: user.accounting({ progress: { everyTokens: 10 } }) });
    await textOf(await openai.chat.completions.create(request, fake({ tokens: 3000, everyMs: 4 })));
    expect(await user.available()).toBe(0);
  });
});

describe('one settlement, however a stream ends', () => {
  const start = async (scenario: object, onLeave: 'drain' | 'estimate' = 'estimate') => {
    const user = await User.with(world, 100_000);
    const id = randomUUID();
    const accounting = user.accounting({ onLeave: { openai: onLeave } });
    const openai = metered(plain, { accounting });
    return { user, id, accounting, openai, options: fake({ id, tokens: 300, everyMs: 1, ...scenario }) };
  };

  it('the consumer breaks off: an estimate within 5 % of what a provider bills that stops', async () => {
    const { user, id, openai, options } = await start({ goOn: false });
    let chunks = 0;
    for await (const _ of await openai.chat.completions.create(request, options)) if (++chunks === 100) break;
    const [record, cost] = [await user.onlyRecord(), (await billed(world, id))!];
    expect(record).toMatchObject({ service: 'chat-streaming', usageSource: 'estimated' });
    const bill = cost.inputTokens + cost.outputTokens;
    expect(Math.abs(record.credits - bill) / bill).toBeLessThanOrEqual(0.05);
  });

  it('the consumer breaks off, and the policy is to drain: the usage of the provider, exactly', async () => {
    const { user, id, openai, accounting, options } = await start({}, 'drain');
    const begun = performance.now();
    let chunks = 0;
    for await (const _ of await openai.chat.completions.create(request, options)) if (++chunks === 50) break;
    const waited = performance.now() - begun;
    await until('settled', async () => (await user.records()).length === 1);
    const [record, cost] = [await user.onlyRecord(), (await billed(world, id))!];
    expect(record).toMatchObject({ usageSource: 'drained', credits: cost.inputTokens + 300 });
    expect(cost.clientLeft).toBe(false);
    // The consumer did not wait for the other 250 chunks.
    expect(waited).toBeLessThan(performance.now() - begun);
    await accounting.settled();
  });

  it('a drain ends at its deadline with an estimate', async () => {
    const { user, openai, options } = await start({ stallAfterTokens: 60 }, 'drain');
    const slow = metered(plain, {
      accounting: user.accounting({ onLeave: { openai: 'drain' }, drainSeconds: 0.3 }),
    });
    let chunks = 0;
    for await (const _ of await slow.chat.completions.create(request, options)) if (++chunks === 20) break;
    await until('settled', async () => (await user.records()).length === 1);
    expect(await user.onlyRecord()).toMatchObject({ usageSource: 'estimated', quantities: { output: 60 } });
    expect(openai).toBeDefined();
  });

  it('the consumer breaks off at finish_reason: the usage that follows is waited for', async () => {
    const { user, id, openai, options } = await start({ tokens: 20 });
    for await (const chunk of await openai.chat.completions.create(request, options))
      if (chunk.choices[0]?.finish_reason) break;
    await until('settled', async () => (await user.records()).length === 1);
    const [record, cost] = [await user.onlyRecord(), (await billed(world, id))!];
    expect(record).toMatchObject({ usageSource: 'drained', credits: cost.inputTokens + cost.outputTokens });
  });

  it('the consumer throws', async () => {
    const { user, openai, options } = await start({});
    const reading = (async () => {
      for await (const _ of await openai.chat.completions.create(request, options))
        throw new Error('of the consumer');
    })();
    await expect(reading).rejects.toThrow('of the consumer');
    expect((await user.onlyRecord()).usageSource).toBe('estimated');
  });

  it('the consumer aborts by controller or signal', async () => {
    const { user, openai, options } = await start({});
    const stream = await openai.chat.completions.create(request, options);
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 10) stream.controller.abort();
    expect((await user.onlyRecord()).usageSource).toBe('estimated');
    const leaving = new AbortController();
    const signalled = await openai.chat.completions.create(request, { ...options, signal: leaving.signal });
    for await (const _ of signalled) if (++chunks === 20) leaving.abort();
    expect(await user.records()).toHaveLength(2);
    expect(await user.openSessions()).toBe(0);
  });

  it('the consumer aborts when the last event has arrived, and the SDK waits for ever', async () => {
    const { user, openai, options } = await start({ tokens: 20 });
    const leaving = new AbortController();
    const stream = await openai.chat.completions.create(request, { ...options, signal: leaving.signal });
    for await (const chunk of stream) if (chunk.choices[0]?.finish_reason) leaving.abort();
    await until('settled', async () => (await user.records()).length === 1);
    expect(await user.onlyRecord()).toMatchObject({ quantities: { output: 20 } });
    expect(await user.openSessions()).toBe(0);
  });

  it('the stream is dropped without being read', async () => {
    const { user, openai, options } = await start({ goOn: false });
    await (async () => {
      const iterator = (await openai.chat.completions.create(request, options))[Symbol.asyncIterator]();
      for (let chunks = 0; chunks < 5; chunks++) await iterator.next();
    })();
    await until('collected', async () => {
      globalThis.gc!();
      return (await user.records()).length === 1;
    });
    expect(await user.openSessions()).toBe(0);
  });

  it.each([
    ['an error event', { failAfterTokens: 40 }],
    ['a cut connection', { cutAfterTokens: 40 }],
  ])('the provider fails in mid-stream: %s', async (_name, scenario) => {
    const { user, openai, options } = await start(scenario);
    await expect(textOf(await openai.chat.completions.create(request, options))).rejects.toThrow();
    const record = await user.onlyRecord();
    expect(record).toMatchObject({ service: 'chat-streaming-failed', usageSource: 'estimated' });
    expect(Math.abs(record.quantities.output! - 40)).toBeLessThanOrEqual(2);
  });

  it('the provider refuses: nothing is charged, and its error reaches the caller', async () => {
    const { user, openai, options } = await start({ failStatus: 400 });
    await expect(openai.chat.completions.create(request, options)).rejects.toBeInstanceOf(
      OpenAI.BadRequestError,
    );
    expect(await user.available()).toBe(100_000);
    expect(await user.openSessions()).toBe(0);
  });

  it('the provider cannot be reached: nothing is charged', async () => {
    const { user, accounting } = await start({});
    const nowhere = new OpenAI({ apiKey: 'any', baseURL: 'http://127.0.0.1:9/v1', maxRetries: 0 });
    const calling = metered(nowhere, { accounting }).chat.completions.create(request);
    await expect(calling).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
    expect(await user.available()).toBe(100_000);
    expect(await user.openSessions()).toBe(0);
  });

  it('the SDK retries: one hold, one charge', async () => {
    const { user, id, openai, options } = await start({ failStatus: 500, failTimes: 2 });
    await textOf(await openai.chat.completions.create(request, options));
    expect((await billed(world, id))!.requests).toBe(3);
    expect((await user.onlyRecord()).quantities.output).toBe(300);
  });

  it('the provider times out before its first chunk: the prompt is charged', async () => {
    const { user, openai, options } = await start({ stallAfterTokens: 0, firstMs: 2000 });
    const calling = openai.chat.completions.create(
      { ...request, stream: false },
      { ...options, timeout: 200, maxRetries: 0 },
    );
    await expect(calling).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    expect(await user.onlyRecord()).toMatchObject({
      service: 'chat-streaming-failed',
      quantities: { input: 27 },
    });
  });

  it('a stream read twice: the second reading fails, and nothing is settled again', async () => {
    const { user, openai, options } = await start({ tokens: 10 });
    const stream = await openai.chat.completions.create(request, options);
    await textOf(stream);
    await expect(textOf(stream)).rejects.toMatchObject({ code: 'client.stream_read' });
    expect(await user.records()).toHaveLength(1);
  });

  it('a tee is one call', async () => {
    const { user, openai, options } = await start({ tokens: 10 });
    const [left, right] = (await openai.chat.completions.create(request, options)).tee();
    expect(await textOf(left)).toBe(await textOf(right));
    expect(await user.records()).toHaveLength(1);
  });

  it('a call that is never awaited', async () => {
    const { user, openai, options } = await start({ tokens: 10 });
    void openai.chat.completions.create({ ...request, stream: false }, options);
    await until('settled', async () => (await user.records()).length === 1);
  });

  it('the raw body is refused, and the call settled', async () => {
    const { user, openai, options } = await start({});
    const raw = openai.chat.completions.create(request, options).asResponse();
    await expect(raw).rejects.toMatchObject({ code: 'client.raw_response' });
    await until('settled', async () => (await user.records()).length === 1);
  });
});

describe('misuse', () => {
  it('refuses to meter a client twice, also through withOptions', async () => {
    const user = await User.with(world, 10_000);
    const accounting = user.accounting();
    const once = metered(plain, { accounting });
    expect(() => metered(once, { accounting })).toThrow(AccountingError);
    expect(() => metered(once.withOptions({ timeout: 1000 }), { accounting })).toThrow(/metered already/);
  });

  it('leaves the original client unmetered, and meters what withOptions returns', async () => {
    const user = await User.with(world, 10_000);
    const openai = metered(plain, { accounting: user.accounting() });
    await textOf(await plain.chat.completions.create(request));
    expect(await user.records()).toHaveLength(0);
    await textOf(await openai.withOptions({ timeout: 5000 }).chat.completions.create(request));
    expect(await user.records()).toHaveLength(1);
  });

  it('refuses an unknown model before any request to the provider', async () => {
    const user = await User.with(world, 10_000);
    const id = randomUUID();
    const openai = metered(plain, { accounting: user.accounting() });
    const calling = openai.chat.completions.create({ ...request, model: 'no-such-model' }, fake({ id }));
    const error: unknown = await calling.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(AccountingRefused);
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ status: 422 });
    expect(await billed(world, id)).toBeUndefined();
  });

  it('lets other routes through unmetered', async () => {
    const user = await User.with(world, 10_000);
    const openai = metered(plain, { accounting: user.accounting() });
    await expect(openai.embeddings.create({ model: GPT, input: PROMPT })).rejects.toBeInstanceOf(
      OpenAI.NotFoundError,
    );
    await pause(50);
    expect(await user.records()).toHaveLength(0);
  });
});
