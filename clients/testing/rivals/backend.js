/** Stands for the rivals' backends: counts the usage that their clients send, by call; each call has a customer of its own. */
import { createServer } from 'node:http';

/** @typedef {{ call: string, key?: string, input?: number, output?: number, cached?: number }} Report */

const numberOf = (value) => Number(value ?? 0);
const flat = (call, key, { inputTokens, outputTokens, cachedInputTokens }) => [
  {
    call,
    key,
    input: numberOf(inputTokens),
    output: numberOf(outputTokens),
    cached: numberOf(cachedInputTokens),
  },
];
const LAGO = { llm_input_tokens: 'input', llm_output_tokens: 'output', llm_cached_input_tokens: 'cached' };

/** What each request reports, and the answer that its client expects. `key` is what the real backend recognises repeats by. */
const ROUTES = {
  '/v2/billing/meter_events': ({ identifier, payload }) => [
    { call: payload.stripe_customer_id, key: identifier, [payload.token_type]: numberOf(payload.value) },
  ],
  '/v1/events/ingest': ({ events }) =>
    events.flatMap((event) => flat(event.external_customer_id, event.external_id, event.metadata)),
  // Autumn's classes exclude each other; here `input` includes what was cached, and `output` the reasoning.
  '/v1/balances.track_tokens': (body) => {
    const cached = numberOf(body.cache_read_tokens);
    const output = numberOf(body.output_tokens) + numberOf(body.reasoning_tokens);
    return [{ call: body.customer_id, input: numberOf(body.input_tokens) + cached, output, cached }];
  },
  '/api/v1/events/batch': ({ events }) =>
    events.map(({ external_subscription_id: call, transaction_id: key, code, properties }) => ({
      call,
      key,
      [LAGO[code] ?? code]: numberOf(properties.value),
    })),
  '/litellm': (logs) =>
    logs.map((log) => ({
      call: log.end_user,
      key: log.id,
      input: log.prompt_tokens,
      output: log.completion_tokens,
      cached: numberOf(log.metadata?.usage_object?.prompt_tokens_details?.cached_tokens),
    })),
};

/** @returns a backend that can be away: connections are refused then. `reports` has all that was received. */
export function createBackend(port) {
  const reports = [];
  const keys = new Set();
  let server;
  const open = () =>
    new Promise((ready) => {
      server = createServer(async (request, response) => {
        let text = '';
        for await (const chunk of request.setEncoding('utf8')) text += chunk;
        const read = ROUTES[request.url];
        if (read === undefined) process.stderr.write(`no route ${request.method} ${request.url}\n`);
        for (const report of read?.(JSON.parse(text)) ?? []) {
          if (report.key !== undefined && keys.has(report.key)) continue;
          keys.add(report.key);
          reports.push(report);
        }
        const answer = { inserted: 1, ingested_count: 1, customer_id: 'any', value: 1, balance: null };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      }).listen(port, '127.0.0.1', ready);
    });
  const close = () =>
    new Promise((closed) => {
      server.close(closed);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, reports, open, close };
}
