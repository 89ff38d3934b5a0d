import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import Anthropic from '@anthropic-ai/sdk';
import { streamText, wrapLanguageModel } from 'ai';
import OpenAI from 'openai';
import { meteringMiddleware } from '../../dist/ai.js';
import { metered as meteredAnthropic } from '../../dist/anthropic.js';
import { metered as meteredOpenAI } from '../../dist/openai.js';

export const GPT = 'gpt-4o-mini';
export const CLAUDE = 'claude-sonnet-5';
const PROMPT =
  'the that and with for this was from are have one they you were all when has will who more out can what new';
const messages = [{ role: 'user', content: PROMPT }];

/**
 * What a user of each SDK would write. Each entry starts a streamed call and returns what is iterated.
 *
 * @typedef {{ headers: Record<string, string>, signal?: AbortSignal }} Options
 * @param {string} provider its URL
 * @returns {Record<string, (accounting: import('../../dist/index.js').Accounting | undefined, options: Options) => Promise<AsyncIterable<unknown>>>}
 */
export function entriesOf(provider) {
  const openai = new OpenAI({ apiKey: 'any', baseURL: `${provider}/v1`, maxRetries: 2 });
  const anthropic = new Anthropic({ apiKey: 'any', baseURL: provider, maxRetries: 2 });
  const aiOpenAI = createOpenAI({ apiKey: 'any', baseURL: `${provider}/v1` });
  const aiAnthropic = createAnthropic({ apiKey: 'any', baseURL: `${provider}/v1` });
  const gpt = (accounting) => (accounting ? meteredOpenAI(openai, { accounting }) : openai);
  const claude = (accounting) => (accounting ? meteredAnthropic(anthropic, { accounting }) : anthropic);
  const viaAi = (model) => async (accounting, options) => {
    const wrapped = accounting
      ? wrapLanguageModel({ model, middleware: meteringMiddleware({ accounting }) })
      : model;
    const { headers, signal } = options;
    const { fullStream } = streamText({
      model: wrapped,
      prompt: PROMPT,
      headers,
      abortSignal: signal,
      onError: () => {},
    });
    return throwing(fullStream);
  };
  return {
    'openai chat': (accounting, options) =>
      gpt(accounting).chat.completions.create({ model: GPT, messages, stream: true }, options),
    'openai responses': (accounting, options) =>
      gpt(accounting).responses.create({ model: GPT, input: PROMPT, stream: true }, options),
    anthropic: (accounting, options) =>
      claude(accounting).messages.create(
        { model: CLAUDE, messages, max_tokens: 2000, stream: true },
        options,
      ),
    'ai openai': viaAi(aiOpenAI.chat(GPT)),
    'ai anthropic': viaAi(aiAnthropic(CLAUDE)),
  };
}

/** The AI SDK gives errors as parts. */
async function* throwing(parts) {
  for await (const part of parts) {
    if (part.type === 'error') throw part.error;
    yield part;
  }
}
