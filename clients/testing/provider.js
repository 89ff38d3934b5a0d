/**
 * A fake LLM provider that speaks the wire formats of OpenAI (chat completions, responses) and Anthropic (messages), streamed
 * or not, and records what it billed. No dependencies; Node 20 or later.
 *
 *     node provider.js [--port 0]        prints {"url":"http://127.0.0.1:PORT"} and ends on SIGTERM
 *
 * Base URL for the SDKs: OpenAI `${url}/v1`, Anthropic `${url}`. Any API key is accepted. Answers depend on the header
 * `x-fake` of the request, a JSON object whose fields are all optional (SCENARIO below has the defaults):
 *
 *     { "id": "call-1", "tokens": 200, "everyMs": 5, "failAfterTokens": 30 }
 *
 *     GET /billed/:id      what the calls with that id cost: { id, requests, failed, inputTokens, cachedInputTokens,
 *                          cacheWriteTokens, outputTokens, reasoningTokens, sentTokens, isOpen, clientLeft, maxTokens }
 *     GET /billed          all of them;  DELETE /billed  forgets them
 *
 * `inputTokens` excludes cached ones, `outputTokens` includes reasoning. `isOpen` is true while a call still generates.
 * Text is made of words that are one token each for OpenAI's tokenizers; prompts are counted likewise.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setImmediate as nextTick, setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** What a request may set in the header `x-fake`. */
const SCENARIO = {
  /** Under which the call is recorded; several requests may share one, as retries do. Default: made up. */
  id: undefined,
  /** Tokens of text that the model would write; `max_tokens` of the request cuts it off. */
  tokens: 50,
  /** Tokens of reasoning before the text. */
  reasoning: 0,
  /** Tokens of the prompt that the cache had, and that were written to it (Anthropic only). */
  cached: 0,
  cacheWrite: 0,
  /** true: the model calls a tool in place of text; its arguments have `tokens` tokens. */
  tool: false,
  /** Before the answer begins, and between chunks. */
  firstMs: 0,
  everyMs: 0,
  tokensPerChunk: 1,
  /** Answer with this HTTP status before anything is generated, for the first `failTimes` requests with this id. */
  failStatus: 0,
  failTimes: 1_000_000,
  /** In mid-stream, after so many tokens: send an error event, cut the connection, or send nothing for `stallMs`. */
  failAfterTokens: undefined,
  cutAfterTokens: undefined,
  stallAfterTokens: undefined,
  stallMs: 3_600_000,
  /** When the client leaves: true bills the answer to its full length, as many providers do; false stops there. */
  goOn: true,
};

/** Each is one token with its leading space, in o200k_base and cl100k_base; 4.5 characters on average, as English prose has, anywhere in the list. */
const WORDS = (
  'the that and with for this was from are have one they you were all when has will who more out can what new into ' +
  'two only may time any some now then our like did even way most of made also many to must back much in your well ' +
  'down is which it their as there on about by other be could at these or first an after no years if where so up ' +
  'before do my through me'
).split(' ');

const isMain = process.argv[1] === fileURLToPath(import.meta.url);
if (isMain) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
  const provider = await startProvider({ port: Number(values.port) });
  process.stdout.write(`${JSON.stringify({ url: provider.url })}\n`);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => void provider.stop());
}

/** @param {{ port?: number }} [options] @returns {Promise<{ url: string, billed: Map<string, object>, stop(): Promise<void> }>} */
export async function startProvider({ port = 0 } = {}) {
  const billed = new Map();
  const server = createServer((request, response) => {
    answer(request, response, billed).catch((error) => {
      if (!response.headersSent) sendJson(response, 500, { error: { message: String(error) } });
      else response.destroy();
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise((ready, failed) => server.once('error', failed).listen(port, '127.0.0.1', ready));
  const stop = () =>
    new Promise((stopped) => {
      server.close(stopped);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}`, billed, stop };
}

async function answer(request, response, billed) {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/billed' && request.method === 'DELETE') {
    billed.clear();
    return sendJson(response, 200, {});
  }
  if (pathname === '/billed') return sendJson(response, 200, [...billed.values()]);
  if (pathname.startsWith('/billed/')) {
    const record = billed.get(decodeURIComponent(pathname.slice('/billed/'.length)));
    return sendJson(response, record ? 200 : 404, record ?? { error: { message: 'nothing was billed' } });
  }
  const format = FORMATS[pathname];
  if (format === undefined || request.method !== 'POST')
    return sendJson(response, 404, { error: { message: `no route ${request.method} ${pathname}` } });
  const body = JSON.parse(await textOf(request));
  await new Call(format, body, scenarioOf(request), response, billed).run();
}

function scenarioOf(request) {
  const given = JSON.parse(request.headers['x-fake'] ?? '{}');
  const unknown = Object.keys(given).filter((name) => !(name in SCENARIO));
  if (unknown.length > 0) throw new Error(`x-fake has unknown fields: ${unknown.join(', ')}`);
  return { ...SCENARIO, id: randomUUID(), ...given };
}

/** One request: what it generates, sends and bills. */
class Call {
  constructor(format, body, scenario, response, billed) {
    Object.assign(this, { format, body, scenario, response });
    const fresh = { id: scenario.id, requests: 0, failed: 0, inputTokens: 0, cachedInputTokens: 0 };
    Object.assign(fresh, { cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0, sentTokens: 0 });
    this.record = billed.get(scenario.id) ?? { ...fresh, isOpen: false, clientLeft: false };
    billed.set(scenario.id, this.record);
    this.answerId = randomUUID().replaceAll('-', '');
    this.created = Math.floor(Date.now() / 1000);
    this.choices = format.choices(body);
    const maxTokens = format.maxTokens(body);
    this.record.maxTokens = maxTokens ?? null;
    const reasoning = Math.min(scenario.reasoning, maxTokens ?? Infinity);
    const text = Math.min(scenario.tokens, (maxTokens ?? Infinity) - reasoning);
    this.isCutOff = text < scenario.tokens;
    const prompt = countPrompt(format.prompt(body));
    /** Of this request; the record is the sum over all with its id. */
    this.planned = { prompt, cached: scenario.cached, cacheWrite: scenario.cacheWrite, reasoning, text };
    this.written = { reasoning: 0, text: 0 };
  }

  async run() {
    const { scenario, record, response, format } = this;
    record.requests++;
    if (scenario.failStatus > 0 && record.failed < scenario.failTimes) {
      record.failed++;
      return sendJson(response, scenario.failStatus, format.refusal(scenario.failStatus));
    }
    record.isOpen = true;
    record.inputTokens += this.planned.prompt;
    record.cachedInputTokens += this.planned.cached;
    record.cacheWriteTokens += this.planned.cacheWrite;
    response.on('close', () => {
      if (!response.writableFinished && !this.cut) record.clientLeft = true;
    });
    try {
      if (scenario.firstMs > 0) await pause(scenario.firstMs);
      await (this.body.stream === true ? this.stream() : this.whole());
    } finally {
      record.isOpen = false;
    }
  }

  get hasLeft() {
    return this.response.destroyed;
  }

  async whole() {
    const { reasoning, text } = this.planned;
    const steps = Math.ceil((reasoning + text) / this.scenario.tokensPerChunk);
    const perStep = this.scenario.tokensPerChunk;
    for (let step = 0; step < steps && !(this.hasLeft && !this.scenario.goOn); step++) {
      if (this.scenario.everyMs > 0 && !this.hasLeft) await pause(this.scenario.everyMs);
      const part = step * perStep < reasoning ? 'reasoning' : 'text';
      this.generate(part, Math.min(perStep, this.planned[part] - this.written[part]));
    }
    this.generate('reasoning', this.planned.reasoning - this.written.reasoning);
    if (!this.hasLeft || this.scenario.goOn) this.generate('text', this.planned.text - this.written.text);
    if (this.hasLeft) return;
    this.record.sentTokens += this.written.text * this.choices;
    sendJson(this.response, 200, this.format.whole(this));
  }

  async stream() {
    const { response, format } = this;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'x-request-id': this.answerId,
    });
    for (const event of format.start(this)) this.send(event);
    if (!(await this.part('reasoning'))) return;
    if (!(await this.part('text'))) return;
    for (const event of format.end(this)) this.send(event);
    if (!this.hasLeft) response.end();
  }

  /** Generates and sends one part. @returns {Promise<boolean>} whether the stream goes on */
  async part(name) {
    const { scenario, format } = this;
    if (this.planned[name] === 0 && name === 'reasoning') return true;
    for (const event of format.open(this, name)) this.send(event);
    while (this.written[name] < this.planned[name]) {
      if (name === 'text' && !(await this.misbehave())) return false;
      if (this.hasLeft && !scenario.goOn) return false;
      const from = this.written[name];
      const count = Math.min(scenario.tokensPerChunk, this.planned[name] - from);
      this.generate(name, count);
      const text = wordsFrom(from, count);
      for (let choice = 0; choice < this.choices; choice++)
        for (const event of format.delta(this, name, text, choice)) this.send(event);
      if (!this.hasLeft && name === 'text') this.record.sentTokens += count * this.choices;
      if (this.hasLeft) continue;
      if (scenario.everyMs > 0) await pause(scenario.everyMs);
      else await nextTick();
      if (this.response.writableNeedDrain) await this.drained();
    }
    for (const event of format.close(this, name)) this.send(event);
    return true;
  }

  /** @returns {Promise<boolean>} whether the stream goes on */
  async misbehave() {
    const { scenario, written, response } = this;
    if (written.text >= (scenario.stallAfterTokens ?? Infinity) && !this.hasStalled && !this.hasLeft) {
      this.hasStalled = true;
      const left = new Promise((done) => response.once('close', done));
      const enough = new AbortController();
      await Promise.race([
        left,
        pause(scenario.stallMs, undefined, { signal: enough.signal }).catch(() => {}),
      ]);
      enough.abort();
    }
    if (written.text >= (scenario.failAfterTokens ?? Infinity)) {
      for (const event of this.format.failure(this)) this.send(event);
      if (!this.hasLeft) response.end();
      return false;
    }
    if (written.text >= (scenario.cutAfterTokens ?? Infinity)) {
      this.cut = true;
      // What was written before arrives first.
      await new Promise((sent) => response.write('', sent));
      response.destroy();
      return false;
    }
    return true;
  }

  drained() {
    return new Promise((done) => {
      this.response.once('drain', done);
      this.response.once('close', done);
    });
  }

  generate(name, count) {
    this.written[name] += count;
    this.record.outputTokens += count * this.choices;
    if (name === 'reasoning') this.record.reasoningTokens += count * this.choices;
  }

  /** Of all choices, as the provider's usage has them. */
  get outputTokens() {
    return (this.written.reasoning + this.written.text) * this.choices;
  }

  send({ event, data }) {
    if (this.hasLeft) return;
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    this.response.write(`${event === undefined ? '' : `event: ${event}\n`}data: ${text}\n\n`);
  }
}

const TOOL = 'look_up';
const wordsFrom = (start, count) => {
  let text = '';
  for (let index = start; index < start + count; index++) text += ` ${WORDS[index % WORDS.length]}`;
  return text;
};
/** The text of a part so far; a tool's arguments are JSON. */
const textSoFar = (call) => wordsFrom(0, call.written.text);
const argumentsOf = (call) => JSON.stringify({ query: textSoFar(call) });
/** The pieces of a tool's arguments: the JSON around the words comes with the first and the last of them. */
const argumentPiece = (call, text) => {
  const opening = call.written.text <= call.scenario.tokensPerChunk ? '{"query":"' : '';
  return `${opening}${text}${call.written.text === call.planned.text ? '"}' : ''}`;
};

// ---- OpenAI, chat completions ----

const chatUsage = (call) => {
  const input = call.planned.prompt + call.planned.cached;
  return {
    prompt_tokens: input,
    completion_tokens: call.outputTokens,
    total_tokens: input + call.outputTokens,
    prompt_tokens_details: { cached_tokens: call.planned.cached, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: call.written.reasoning * call.choices,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
};
const chatChunk = (call, choices, usage = null) => ({
  data: {
    id: `chatcmpl-${call.answerId}`,
    object: 'chat.completion.chunk',
    created: call.created,
    model: call.body.model,
    service_tier: call.body.service_tier ?? 'default',
    system_fingerprint: null,
    choices,
    ...(call.body.stream_options?.include_usage ? { usage } : {}),
  },
});
const chatDelta = (index, delta, finish = null) => ({ index, delta, logprobs: null, finish_reason: finish });
const chatFinish = (call) => (call.isCutOff ? 'length' : call.scenario.tool ? 'tool_calls' : 'stop');
const eachChoice = (call, of) => Array.from({ length: call.choices }, (_, index) => of(index));

const CHAT = {
  choices: (body) => body.n ?? 1,
  maxTokens: (body) => body.max_completion_tokens ?? body.max_tokens,
  prompt: (body) => body.messages,
  refusal: openaiRefusal,
  start: (call) =>
    eachChoice(call, (index) => chatChunk(call, [chatDelta(index, { role: 'assistant', content: '' })])),
  open: (call, name) => {
    if (name === 'reasoning' || !call.scenario.tool) return [];
    const tool = {
      index: 0,
      id: `call_${call.answerId}`,
      type: 'function',
      function: { name: TOOL, arguments: '' },
    };
    return eachChoice(call, (index) => chatChunk(call, [chatDelta(index, { tool_calls: [tool] })]));
  },
  delta: (call, name, text, index) => {
    // OpenAI does not show its reasoning in chat completions.
    if (name === 'reasoning') return [];
    const delta = call.scenario.tool
      ? { tool_calls: [{ index: 0, function: { arguments: argumentPiece(call, text) } }] }
      : { content: text };
    return [chatChunk(call, [chatDelta(index, delta)])];
  },
  close: () => [],
  end: (call) => [
    ...eachChoice(call, (index) => chatChunk(call, [chatDelta(index, {}, chatFinish(call))])),
    ...(call.body.stream_options?.include_usage ? [chatChunk(call, [], chatUsage(call))] : []),
    { data: '[DONE]' },
  ],
  failure: () => [{ data: openaiRefusal(500) }],
  whole: (call) => ({
    id: `chatcmpl-${call.answerId}`,
    object: 'chat.completion',
    created: call.created,
    model: call.body.model,
    choices: eachChoice(call, (index) => ({
      index,
      message: {
        role: 'assistant',
        content: call.scenario.tool ? null : textSoFar(call),
        refusal: null,
        ...(call.scenario.tool
          ? {
              tool_calls: [
                {
                  id: `call_${call.answerId}`,
                  type: 'function',
                  function: { name: TOOL, arguments: argumentsOf(call) },
                },
              ],
            }
          : {}),
      },
      logprobs: null,
      finish_reason: chatFinish(call),
    })),
    usage: chatUsage(call),
    service_tier: call.body.service_tier ?? 'default',
    system_fingerprint: null,
  }),
};

// ---- OpenAI, responses ----

const responsesUsage = (call) => {
  const input = call.planned.prompt + call.planned.cached;
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: call.planned.cached },
    output_tokens: call.outputTokens,
    output_tokens_details: { reasoning_tokens: call.written.reasoning },
    total_tokens: input + call.outputTokens,
  };
};
const responsesItem = (call, name, status) => {
  if (name === 'reasoning') return { id: `rs_${call.answerId}`, type: 'reasoning', summary: [] };
  if (call.scenario.tool) {
    const args = status === 'in_progress' ? '' : argumentsOf(call);
    const ids = { id: `fc_${call.answerId}`, call_id: `call_${call.answerId}` };
    return { ...ids, type: 'function_call', status, name: TOOL, arguments: args };
  }
  const content = status === 'in_progress' ? [] : [responsesText(textSoFar(call))];
  return { id: `msg_${call.answerId}`, type: 'message', status, role: 'assistant', content };
};
const responsesText = (text) => ({ type: 'output_text', annotations: [], logprobs: [], text });
const responsesObject = (call, status, members = {}) => ({
  id: `resp_${call.answerId}`,
  object: 'response',
  created_at: call.created,
  status,
  background: false,
  error: null,
  incomplete_details: null,
  instructions: call.body.instructions ?? null,
  max_output_tokens: call.body.max_output_tokens ?? null,
  metadata: call.body.metadata ?? {},
  model: call.body.model,
  output: [],
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  service_tier: call.body.service_tier ?? 'default',
  store: true,
  temperature: 1,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: call.body.tools ?? [],
  top_p: 1,
  truncation: 'disabled',
  usage: null,
  user: null,
  ...members,
});
const responsesFinal = (call) =>
  responsesObject(call, call.isCutOff ? 'incomplete' : 'completed', {
    incomplete_details: call.isCutOff ? { reason: 'max_output_tokens' } : null,
    output: [
      ...(call.planned.reasoning > 0 ? [responsesItem(call, 'reasoning')] : []),
      responsesItem(call, 'text', call.isCutOff ? 'incomplete' : 'completed'),
    ],
    usage: responsesUsage(call),
  });
const responsesEvent = (call, type, members) => {
  call.sequence = (call.sequence ?? -1) + 1;
  return { event: type, data: { type, sequence_number: call.sequence, ...members } };
};
const outputIndex = (call, name) => (name === 'text' && call.planned.reasoning > 0 ? 1 : 0);

const RESPONSES = {
  choices: () => 1,
  maxTokens: (body) => body.max_output_tokens,
  prompt: (body) => [body.instructions, body.input],
  refusal: openaiRefusal,
  start: (call) =>
    ['created', 'in_progress'].map((name) =>
      responsesEvent(call, `response.${name}`, { response: responsesObject(call, 'in_progress') }),
    ),
  open: (call, name) => {
    const index = { output_index: outputIndex(call, name) };
    const item = responsesItem(call, name, 'in_progress');
    const events = [responsesEvent(call, 'response.output_item.added', { ...index, item })];
    if (item.type === 'message') {
      const part = { item_id: item.id, ...index, content_index: 0, part: responsesText('') };
      events.push(responsesEvent(call, 'response.content_part.added', part));
    }
    return events;
  },
  delta: (call, name, text) => {
    if (name === 'reasoning') return [];
    const place = { output_index: outputIndex(call, name) };
    if (call.scenario.tool) {
      const delta = { item_id: `fc_${call.answerId}`, ...place, delta: argumentPiece(call, text) };
      return [responsesEvent(call, 'response.function_call_arguments.delta', delta)];
    }
    const delta = { item_id: `msg_${call.answerId}`, ...place, content_index: 0, delta: text, logprobs: [] };
    return [responsesEvent(call, 'response.output_text.delta', delta)];
  },
  close: (call, name) => {
    const index = { output_index: outputIndex(call, name) };
    const item = responsesItem(call, name, call.isCutOff ? 'incomplete' : 'completed');
    const done = [responsesEvent(call, 'response.output_item.done', { ...index, item })];
    const of = { item_id: item.id, ...index };
    if (item.type === 'function_call') {
      const finished = { ...of, name: TOOL, arguments: item.arguments };
      return [responsesEvent(call, 'response.function_call_arguments.done', finished), ...done];
    }
    if (item.type !== 'message') return done;
    const text = { ...of, content_index: 0, text: textSoFar(call), logprobs: [] };
    const part = { ...of, content_index: 0, part: responsesText(textSoFar(call)) };
    return [
      responsesEvent(call, 'response.output_text.done', text),
      responsesEvent(call, 'response.content_part.done', part),
      ...done,
    ];
  },
  end: (call) => [
    responsesEvent(call, call.isCutOff ? 'response.incomplete' : 'response.completed', {
      response: responsesFinal(call),
    }),
  ],
  failure: (call) => {
    const error = { code: 'server_error', message: 'The model failed.' };
    const failed = responsesObject(call, 'failed', { error, usage: responsesUsage(call) });
    return [responsesEvent(call, 'response.failed', { response: failed })];
  },
  whole: responsesFinal,
};

function openaiRefusal(status) {
  const types = { 400: 'invalid_request_error', 401: 'invalid_request_error', 429: 'rate_limit_exceeded' };
  const type = types[status] ?? 'server_error';
  return { error: { message: `The fake provider fails with ${status}.`, type, param: null, code: null } };
}

// ---- Anthropic, messages ----

const messagesUsage = (call, outputTokens) => ({
  input_tokens: call.planned.prompt,
  cache_creation_input_tokens: call.planned.cacheWrite,
  cache_read_input_tokens: call.planned.cached,
  cache_creation: { ephemeral_5m_input_tokens: call.planned.cacheWrite, ephemeral_1h_input_tokens: 0 },
  output_tokens: outputTokens,
  service_tier: 'standard',
});
const messagesObject = (call, members) => ({
  id: `msg_${call.answerId}`,
  type: 'message',
  role: 'assistant',
  model: call.body.model,
  content: [],
  stop_reason: null,
  stop_sequence: null,
  ...members,
});
const stopReason = (call) => (call.isCutOff ? 'max_tokens' : call.scenario.tool ? 'tool_use' : 'end_turn');
const messagesEvent = (type, members = {}) => ({ event: type, data: { type, ...members } });
const blockIndex = (call, name) => (name === 'text' && call.planned.reasoning > 0 ? 1 : 0);

const MESSAGES = {
  choices: () => 1,
  maxTokens: (body) => body.max_tokens,
  prompt: (body) => [body.system, body.messages],
  refusal: (status) => ({ type: 'error', error: anthropicError(status) }),
  start: (call) => [
    messagesEvent('message_start', { message: messagesObject(call, { usage: messagesUsage(call, 1) }) }),
    messagesEvent('ping'),
  ],
  open: (call, name) => {
    const tool = { type: 'tool_use', id: `toolu_${call.answerId}`, name: TOOL, input: {} };
    const text = call.scenario.tool ? tool : { type: 'text', text: '' };
    const block = name === 'reasoning' ? { type: 'thinking', thinking: '', signature: '' } : text;
    return [messagesEvent('content_block_start', { index: blockIndex(call, name), content_block: block })];
  },
  delta: (call, name, text) => {
    const delta =
      name === 'reasoning'
        ? { type: 'thinking_delta', thinking: text }
        : call.scenario.tool
          ? { type: 'input_json_delta', partial_json: argumentPiece(call, text) }
          : { type: 'text_delta', text };
    return [messagesEvent('content_block_delta', { index: blockIndex(call, name), delta })];
  },
  close: (call, name) => {
    const index = blockIndex(call, name);
    const signature = { type: 'signature_delta', signature: 'c2lnbmF0dXJl' };
    return [
      ...(name === 'reasoning' ? [messagesEvent('content_block_delta', { index, delta: signature })] : []),
      messagesEvent('content_block_stop', { index }),
    ];
  },
  end: (call) => {
    const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens } = messagesUsage(call, 0);
    const usage = {
      input_tokens,
      cache_creation_input_tokens,
      cache_read_input_tokens,
      output_tokens: call.outputTokens,
    };
    const delta = { stop_reason: stopReason(call), stop_sequence: null };
    return [messagesEvent('message_delta', { delta, usage }), messagesEvent('message_stop')];
  },
  failure: () => [messagesEvent('error', { error: anthropicError(529) })],
  whole: (call) => {
    const thinking = {
      type: 'thinking',
      thinking: wordsFrom(0, call.written.reasoning),
      signature: 'c2lnbmF0dXJl',
    };
    const tool = {
      type: 'tool_use',
      id: `toolu_${call.answerId}`,
      name: TOOL,
      input: { query: textSoFar(call) },
    };
    return messagesObject(call, {
      content: [
        ...(call.planned.reasoning > 0 ? [thinking] : []),
        call.scenario.tool ? tool : { type: 'text', text: textSoFar(call) },
      ],
      stop_reason: stopReason(call),
      usage: messagesUsage(call, call.outputTokens),
    });
  },
};

function anthropicError(status) {
  const types = {
    400: 'invalid_request_error',
    401: 'authentication_error',
    429: 'rate_limit_error',
    529: 'overloaded_error',
  };
  return { type: types[status] ?? 'api_error', message: `The fake provider fails with ${status}.` };
}

const FORMATS = { '/v1/chat/completions': CHAT, '/v1/responses': RESPONSES, '/v1/messages': MESSAGES };

// ---- what all of them need ----

/** OpenAI's rule for text: its tokens, 3 for each message and 3 for the answer's beginning; 85 for an image. */
function countPrompt(prompt) {
  const parts = { tokens: 3 };
  const visit = (value) => {
    if (typeof value === 'string') parts.tokens += countWords(value);
    else if (Array.isArray(value)) value.forEach(visit);
    else if (value !== null && typeof value === 'object') {
      if ('role' in value) parts.tokens += 3 + 1;
      if (/image/.test(value.type)) parts.tokens += 85;
      else [value.content, value.text].forEach(visit);
    }
  };
  visit(prompt);
  return parts.tokens;
}

const KNOWN = new Set(WORDS);
const countWords = (text) => {
  const words = text.match(/\S+/g) ?? [];
  return words.reduce((sum, word) => sum + (KNOWN.has(word) ? 1 : Math.ceil(word.length / 4)), 0);
};

async function textOf(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
}

function sendJson(response, status, body) {
  if (response.destroyed) return;
  const retry = status === 429 || status >= 500 ? { 'retry-after': '0' } : {};
  response.writeHead(status, { 'content-type': 'application/json', ...retry }).end(JSON.stringify(body));
}
