import type { LanguageModelMiddleware } from 'ai';
import { DEFAULT_OUTPUT_TOKENS } from './accounting.js';
import { misuse } from './errors.js';
import { type Format, MeteredCall, MeteredSource, type SdkStream, type Seen } from './metering.js';
import type { MeterOptions } from './sdk.js';
import type { CallUsage } from './session.js';
import { countPrompt, tokenCounter } from './tokens.js';

/**
 * Middleware for `wrapLanguageModel` of the Vercel AI SDK: each call of the model holds credits first and is settled at its
 * end. It throws `AccountingError` and its subclasses.
 */
export function meteringMiddleware({ accounting }: MeterOptions): LanguageModelMiddleware {
  async function begin({ params: given, model }: { params: unknown; model: unknown }) {
    const { modelId, provider } = model as Model;
    const params = given as Params;
    // An outer middleware of ours has marked what it passes on.
    if (params[METERED]) throw misuse('metered_twice', 'This model is metered already');
    const call = takeWaiting(params.prompt) ?? (await hold(params, modelId, provider));
    const { session } = call;
    const controller = new AbortController();
    for (const signal of [params.abortSignal, session.signal]) {
      if (signal?.aborted) controller.abort(signal.reason);
      signal?.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
    }
    const isLower = session.maxOutputTokens < declaredBy(params);
    const limit = isLower ? { maxOutputTokens: session.maxOutputTokens } : {};
    return {
      call,
      controller,
      params: { ...params, ...limit, abortSignal: controller.signal, [METERED]: true },
    };
  }

  async function hold(params: Params, modelId: string, provider: string): Promise<MeteredCall<Part>> {
    const count = await tokenCounter(modelId);
    const session = await accounting.session({
      modelId,
      inputTokens: countPrompt([params.prompt, params.tools], count),
      maxOutputTokens: params.maxOutputTokens,
    });
    const isBounded = params.maxOutputTokens !== undefined || session.maxOutputTokens < declaredBy(params);
    return new MeteredCall(accounting, session, formatOf(provider), count, isBounded);
  }

  const declaredBy = ({ maxOutputTokens }: Params) =>
    maxOutputTokens ?? accounting.options.maxOutputTokens ?? DEFAULT_OUTPUT_TOKENS;

  const middleware = {
    specificationVersion: 'v3',
    async wrapGenerate(options: { params: unknown; model: unknown }) {
      const { call, params } = await begin(options);
      const answer = await (options.model as Model)
        .doGenerate(params)
        .catch((error: unknown) => refused(call, params.prompt, error));
      for (const part of answer.content) call.seen.text += part.text ?? part.input ?? '';
      readUsage(answer.usage, call.seen);
      await call.settle('ended');
      return answer;
    },
    async wrapStream(options: { params: unknown; model: unknown }) {
      const { call, controller, params } = await begin(options);
      const answer = await (options.model as Model)
        .doStream(params)
        .catch((error: unknown) => refused(call, params.prompt, error));
      return { ...answer, stream: meteredReadable(answer.stream, controller, call) };
    },
  };
  // The two majors of the SDK differ in the version that their type wants; neither reads it.
  return middleware as unknown as LanguageModelMiddleware;
}

const METERED = Symbol('metered');

/** The AI SDK retries outside of its middleware, first after two seconds: the hold waits so long for the same prompt. */
const RETRY_SECONDS = 5;
const waiting = new WeakMap<object, { call: MeteredCall<Part>; timer: NodeJS.Timeout }>();

async function refused(call: MeteredCall<Part>, prompt: object, error: unknown): Promise<never> {
  if ((error as { isRetryable?: boolean } | null)?.isRetryable === true) {
    const release = () => {
      waiting.delete(prompt);
      void call.refuse(false);
    };
    waiting.set(prompt, { call, timer: setTimeout(release, RETRY_SECONDS * 1000) });
  } else {
    await call.refuse(/^(Abort|Timeout)Error$/.test((error as Error).name));
  }
  throw error;
}

function takeWaiting(prompt: object): MeteredCall<Part> | undefined {
  const found = waiting.get(prompt);
  clearTimeout(found?.timer);
  waiting.delete(prompt);
  return found?.call;
}

interface Params {
  prompt: object;
  tools?: unknown;
  maxOutputTokens?: number;
  abortSignal?: AbortSignal;
  [METERED]?: boolean;
}
interface Model {
  provider: string;
  modelId: string;
  doGenerate(params: Params): Promise<{ content: { text?: string; input?: string }[]; usage: Usage }>;
  doStream(params: Params): Promise<{ stream: ReadableStream<Part> }>;
}
interface Part {
  type: string;
  delta?: string;
  usage?: Usage;
}
interface Usage {
  inputTokens?: { total?: number; noCache?: number; cacheRead?: number; cacheWrite?: number };
  outputTokens?: { total?: number; text?: number; reasoning?: number };
  /** The provider's own object. */
  raw?: Record<string, unknown>;
}

function formatOf(model: string): Format<Part> {
  const provider = /^(azure|openai)\b/.test(model)
    ? 'openai'
    : /^anthropic\b/.test(model)
      ? 'anthropic'
      : undefined;
  return {
    provider: provider ?? (model.split('.')[0] as string),
    read: ({ type, delta, usage }, seen) => {
      if (type.endsWith('-delta') && delta !== undefined) seen.text += delta;
      if (type === 'reasoning-delta') seen.isPartlyHidden = true;
      if (type === 'error') seen.hasFailed = true;
      if (type === 'finish') readUsage(usage, seen);
      return true;
    },
    complete: (usage) => {
      const { raw, ...counts } = usage as Usage;
      return provider !== undefined && raw !== undefined
        ? { provider, usage: raw }
        : { quantities: quantitiesOf(counts) };
    },
    visibleTokens: (usage) => {
      const { total = 0, reasoning = 0 } = (usage as Usage).outputTokens ?? {};
      return total - reasoning;
    },
    estimate: (_seen, inputTokens, outputTokens) => ({ inputTokens, outputTokens }),
  };
}

function readUsage(usage: Usage | undefined, seen: Seen): void {
  seen.isFinished = true;
  // A call that failed finishes with counts that nothing is known of.
  if (usage?.inputTokens?.total === undefined && usage?.outputTokens?.total === undefined) return;
  seen.usage = usage as Record<string, unknown>;
  seen.isComplete = true;
}

/** Each token in one class. */
function quantitiesOf({
  inputTokens: input = {},
  outputTokens: output = {},
}: Usage): CallUsage['quantities'] {
  const { cacheRead = 0, cacheWrite = 0 } = input;
  const { reasoning = 0 } = output;
  return {
    input: input.noCache ?? Math.max((input.total ?? 0) - cacheRead - cacheWrite, 0),
    cached_input: cacheRead,
    cache_write_5m: cacheWrite,
    output: output.text ?? Math.max((output.total ?? 0) - reasoning, 0),
    reasoning,
  };
}

function meteredReadable(
  stream: ReadableStream<Part>,
  controller: AbortController,
  call: MeteredCall<Part>,
): ReadableStream<Part> {
  const parts: SdkStream<Part> = { controller, [Symbol.asyncIterator]: () => stream.values() };
  const source = new MeteredSource(parts, call, (error) => error);
  const metered = new ReadableStream<Part>(
    {
      async pull(consumer) {
        const { done, value } = await source.next();
        if (done) consumer.close();
        else consumer.enqueue(value);
      },
      cancel: () => source.leave(),
    },
    // Nothing is read ahead of the consumer.
    { highWaterMark: 0 },
  );
  source.watch(metered);
  return metered;
}
