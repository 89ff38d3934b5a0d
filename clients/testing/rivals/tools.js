/**
 * Each tool as its own documentation shows it. It makes what an application makes once, and returns a function that
 * starts the call of one customer and returns what the application iterates.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import https from 'node:https';
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const MODEL = 'gpt-4o-mini';
const PROMPT = 'the of and to in is that for it with as was on are by this be from at or';
const messages = [{ role: 'user', content: PROMPT }];
const request = (more) => ({ model: MODEL, messages, stream: true, ...more });
const withUsage = (more) => request({ stream_options: { include_usage: true }, ...more });

/** Of packages that are built from source, because the registry has none. */
const importFrom = (folder, path) => import(pathToFileURL(join(folder, path)).href);
const newOpenAI = async (baseURL) =>
  new (await import('openai')).default({ apiKey: 'any', baseURL, maxRetries: 0 });

export const TOOLS = {
  async ours({ provider, service }) {
    const own = createRequire(new URL('../../typescript/package.json', import.meta.url));
    const { default: OpenAI } = await import(pathToFileURL(own.resolve('openai')).href);
    const { Accounting } = await import('../../typescript/dist/index.js');
    const { metered } = await import('../../typescript/dist/openai.js');
    const client = new OpenAI({ apiKey: 'any', baseURL: `${provider}/v1`, maxRetries: 0 });
    const { url: baseUrl, internalApiKey } = service;
    // The default reports progress every 200 tokens, which is as long as a whole answer here.
    const progress = { everyTokens: 20 };
    const accounting = new Accounting({ baseUrl, internalApiKey, progress });
    accounting.drainOnExit({ seconds: 10 });
    return (userId, given) => {
      const { chat } = metered(client, { accounting: accounting.for({ userId }) });
      return chat.completions.create(request(), given);
    };
  },
  async stripe({ provider, backend, source }) {
    // The package has no option for the address of its backend.
    const original = https.request;
    const { port } = new URL(backend);
    https.request = (options, ...rest) => {
      if (options.host !== 'api.stripe.com') return original(options, ...rest);
      const plain = http.request({ ...options, host: '127.0.0.1', port, agent: undefined }, ...rest);
      // Its HTTP client writes the body when TLS is ready.
      return plain.once('socket', (socket) => socket.once('connect', () => socket.emit('secureConnect')));
    };
    const { default: meters } = await importFrom(source, 'token-meter/dist/index.js');
    const meter = meters.createTokenMeter('sk_test_1');
    const client = await newOpenAI(`${provider}/v1`);
    return async (id, given) =>
      meter.trackUsageStreamOpenAI(await client.chat.completions.create(withUsage(), given), id);
  },
  async autumn({ provider, backend, source }) {
    const { withAutumn } = await importFrom(source, 'gateway/dist/ai-sdk/index.js');
    const { Autumn } = await import('autumn-js');
    const autumn = new Autumn({ secretKey: 'am_sk_test_1', serverURL: backend });
    const { streamText } = await importFrom(source, 'gateway/node_modules/ai/dist/index.mjs');
    const { createOpenAI } = await importFrom(source, 'gateway/node_modules/@ai-sdk/openai/dist/index.mjs');
    const model = createOpenAI({ apiKey: 'any', baseURL: `${provider}/v1` }).chat(MODEL);
    return (customerId, given) => textOf(streamText, withAutumn({ autumn, model, customerId }), given);
  },
  async polar({ provider, backend }) {
    const { Ingestion } = await import('@polar-sh/ingestion');
    const { LLMStrategy } = await import('@polar-sh/ingestion/strategies/LLM');
    const { streamText } = await import('ai');
    const { createOpenAI } = await import('@ai-sdk/openai');
    const model = createOpenAI({ apiKey: 'any', baseURL: `${provider}/v1` }).chat(MODEL);
    const ingestion = Ingestion({ accessToken: 'any', serverURL: backend })
      .strategy(new LLMStrategy(model))
      .ingest('openai-usage');
    return (id, given) => textOf(streamText, ingestion.client({ externalCustomerId: id }), given);
  },
  async litellm({ proxy }) {
    const client = await newOpenAI(`${proxy}/v1`);
    return (user, given) => client.chat.completions.create(request({ user }), given);
  },
  /** Played by client.py. */
  lago() {},
};

/** An application that leaves a stream of the AI SDK aborts it. */
async function* textOf(streamText, model, { headers, signal }) {
  const leaving = new AbortController();
  const abortSignal = AbortSignal.any([signal, leaving.signal]);
  const failed = {};
  const onError = ({ error }) => (failed.error = error);
  try {
    yield* streamText({ model, prompt: PROMPT, headers, abortSignal, maxRetries: 0, onError }).textStream;
    if (failed.error) throw failed.error;
  } finally {
    leaving.abort();
  }
}
