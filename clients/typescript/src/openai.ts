import { APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai';
import type OpenAI from 'openai';
import { type AccountingError, type ErrorName, misuse } from './errors.js';
import type { Seen } from './metering.js';
import { type MeteredRoute, meteredClient, type MeterOptions, type Sdk } from './sdk.js';
import type { CallUsage } from './session.js';
import { tokenCounter } from './tokens.js';

/**
 * A metered copy of an OpenAI client: chat completions and responses, streamed or not, with all helpers that use them.
 * Everything else goes through unmetered.
 *
 * @throws AccountingError `client.metered_twice`
 */
export function metered<Client extends OpenAI>(client: Client, options: MeterOptions): Client {
  // Its tables take up to a second to build: better now than before the first token.
  void tokenCounter('gpt-4o');
  return meteredClient(client, options, { '/chat/completions': chat, '/responses': () => RESPONSES }, SDK);
}

interface ChatChunk {
  choices?: { delta?: ChatMessage; message?: ChatMessage; finish_reason?: string | null }[];
  usage?: Record<string, unknown> | null;
  service_tier?: string | null;
}
interface ChatMessage {
  content?: string | null;
  refusal?: string | null;
  /** Of servers that show it. */
  reasoning_content?: string | null;
  function_call?: CalledFunction;
  tool_calls?: { function?: CalledFunction }[];
}
interface CalledFunction {
  name?: string;
  arguments?: string;
}
interface StreamOptions {
  include_usage?: boolean;
}

const complete = (usage: Record<string, unknown>): CallUsage => ({ provider: 'openai', usage });
/** Reasoning is not shown. */
function visibleTokens(usage: UsageObject): number {
  const details = usage.completion_tokens_details ?? usage.output_tokens_details;
  return (usage.completion_tokens ?? usage.output_tokens ?? 0) - (details?.reasoning_tokens ?? 0);
}
interface UsageObject {
  completion_tokens?: number;
  output_tokens?: number;
  completion_tokens_details?: { reasoning_tokens?: number } | null;
  output_tokens_details?: { reasoning_tokens?: number } | null;
}
const estimate = (_seen: Seen, inputTokens: number, outputTokens: number): CallUsage => ({
  inputTokens,
  outputTokens,
});

function chat(body: Record<string, unknown>): MeteredRoute {
  const streamOptions = (body.stream_options ?? {}) as StreamOptions;
  const isUsageWanted = streamOptions.include_usage === true;
  const choices = Number(body.n ?? 1);
  let unfinished = choices;
  const read = (chunk: ChatChunk, seen: Seen): boolean => {
    for (const { delta, message, finish_reason } of chunk.choices ?? []) {
      seen.text += textOf(delta ?? message ?? {});
      if (finish_reason) unfinished--;
    }
    seen.serviceTier = chunk.service_tier ?? seen.serviceTier;
    seen.isFinished = unfinished <= 0;
    if (!chunk.usage) return true;
    seen.usage = chunk.usage;
    // Some servers report what was used so far with every chunk.
    seen.isComplete = seen.isFinished;
    return isUsageWanted || chunk.choices?.length !== 0;
  };
  return {
    provider: 'openai',
    promptFields: ['messages', 'tools', 'functions', 'response_format'],
    maxTokensFields: ['max_completion_tokens', 'max_tokens'],
    choices: () => choices,
    prepare: (request) =>
      request.stream === true
        ? { ...request, stream_options: { ...streamOptions, include_usage: true } }
        : request,
    read,
    readWhole: (answer, seen) => void read(answer, seen),
    complete,
    visibleTokens,
    estimate,
  };
}

function textOf({ content, refusal, reasoning_content, function_call, tool_calls }: ChatMessage): string {
  const called: (CalledFunction | undefined)[] = [
    function_call,
    ...(tool_calls ?? []).map((call) => call.function),
  ];
  const calls = called.map((each) => `${each?.name ?? ''}${each?.arguments ?? ''}`).join('');
  return `${reasoning_content ?? ''}${content ?? ''}${refusal ?? ''}${calls}`;
}

interface ResponsesEvent {
  type: string;
  delta?: string;
  response?: ResponseObject;
}
interface ResponseObject {
  status?: string;
  usage?: Record<string, unknown> | null;
  service_tier?: string | null;
}

const FINAL = new Set(['response.completed', 'response.incomplete', 'response.failed']);

const RESPONSES: MeteredRoute = {
  provider: 'openai',
  promptFields: ['instructions', 'input', 'tools', 'text'],
  maxTokensFields: ['max_output_tokens'],
  check: ({ background }) => {
    if (background === true)
      throw misuse(
        'background',
        'A response in the background cannot be metered: its usage is known only later',
      );
  },
  read: (event: ResponsesEvent, seen) => {
    // Text, refusals, arguments of tools, summaries of reasoning: whatever comes as text was generated.
    if (event.type.endsWith('.delta') && typeof event.delta === 'string') seen.text += event.delta;
    if (FINAL.has(event.type)) readResponse(event.response ?? {}, seen);
    return true;
  },
  readWhole: readResponse,
  complete,
  visibleTokens,
  estimate,
};

function readResponse({ status, usage, service_tier }: ResponseObject, seen: Seen): void {
  seen.isFinished = true;
  seen.hasFailed = status === 'failed' || status === 'cancelled';
  seen.serviceTier = service_tier ?? undefined;
  if (!usage) return;
  seen.usage = usage;
  seen.isComplete = true;
}

/** What metered clients throw: an `APIError` of the SDK with the service's code and limits. */
class MeteringError extends APIError {
  declare readonly limits: AccountingError['limits'];
  declare readonly maxAffordableTokens: number | undefined;
  declare readonly requiredCredits: number | undefined;
  declare readonly availableCredits: number | undefined;
  declare readonly retryAfterSeconds: number | undefined;
  declare readonly generatedTokens: number | undefined;
  declare readonly usage: Record<string, unknown> | undefined;

  /** @param cause whose members this error gets */
  constructor(override readonly cause: AccountingError) {
    const { status, code, message } = cause;
    super(status, { message, code, type: 'accounting_error' }, message, new Headers());
    const { name: _, ...members } = { ...cause };
    Object.assign(this, members, { name: cause.name });
  }
}

/** 402: balance or budgets do not cover the call, or no longer cover the stream. */
export class CreditsExhausted extends MeteringError {}
/** 429: a limit of tokens, sessions or requests is reached. */
export class LimitExceeded extends MeteringError {}
/** 503: the accounting service does not answer. */
export class AccountingUnavailable extends MeteringError {}
/** Any other refusal of the accounting service, such as a model without a price, or misuse of this client. */
export class AccountingRefused extends MeteringError {}

const CLASSES: Record<ErrorName, new (cause: AccountingError) => Error> = {
  CreditsExhausted,
  LimitExceeded,
  AccountingUnavailable,
  AccountingError: AccountingRefused,
};
const SDK: Sdk = {
  toError: (error) => new CLASSES[error.name](error),
  isGivenUp: (error) => error instanceof APIUserAbortError || error instanceof APIConnectionTimeoutError,
};
