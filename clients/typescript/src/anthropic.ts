import { APIConnectionTimeoutError, APIError, APIUserAbortError } from '@anthropic-ai/sdk';
import type Anthropic from '@anthropic-ai/sdk';
import type { AccountingError, ErrorName } from './errors.js';
import type { Seen } from './metering.js';
import { type MeteredRoute, meteredClient, type MeterOptions, type Sdk } from './sdk.js';

/**
 * A metered copy of an Anthropic client: messages, also those of `beta`, streamed or not, with all helpers that use them.
 * Everything else goes through unmetered.
 *
 * @throws AccountingError `client.metered_twice`
 */
export function metered<Client extends Anthropic>(client: Client, options: MeterOptions): Client {
  return meteredClient(client, options, { '/v1/messages': () => MESSAGES }, SDK);
}

interface MessagesEvent {
  type: string;
  message?: { usage?: Record<string, unknown> };
  delta?: { text?: string; partial_json?: string; thinking?: string };
  usage?: Record<string, unknown>;
}
interface Message {
  content?: { text?: string; thinking?: string; input?: unknown }[];
  usage?: Record<string, unknown>;
}

const MESSAGES: MeteredRoute = {
  provider: 'anthropic',
  promptFields: ['system', 'messages', 'tools'],
  maxTokensFields: ['max_tokens'],
  // The provider refuses a maximum that leaves no room beside the tokens to think with.
  minTokens: ({ thinking }) => {
    const { budget_tokens: budget } = (thinking ?? {}) as { budget_tokens?: number };
    return budget === undefined ? undefined : budget + 1;
  },
  read: ({ type, message, delta, usage }: MessagesEvent, seen) => {
    if (type === 'message_start') seen.usage = message?.usage;
    if (type === 'content_block_delta') {
      // Thinking is shown as a summary.
      if (delta?.thinking) seen.isPartlyHidden = true;
      seen.text += delta?.text ?? delta?.partial_json ?? delta?.thinking ?? '';
    }
    if (type === 'message_delta') {
      // What the first event reported stays where this one has no newer figure.
      const newer = Object.entries(usage ?? {}).filter(([, value]) => value !== null && value !== undefined);
      seen.usage = { ...seen.usage, ...Object.fromEntries(newer) };
      seen.isFinished = seen.isComplete = true;
    }
    return true;
  },
  readWhole: ({ content, usage }: Message, seen) => {
    for (const { text, thinking, input } of content ?? []) {
      if (thinking !== undefined) seen.isPartlyHidden = true;
      seen.text += text ?? thinking ?? (input === undefined ? '' : JSON.stringify(input));
    }
    seen.usage = usage;
    seen.isFinished = seen.isComplete = usage !== undefined;
  },
  complete: (usage) => ({ provider: 'anthropic', usage }),
  visibleTokens: ({ output_tokens }) => Number(output_tokens),
  estimate: ({ usage }: Seen, inputTokens, outputTokens) => {
    if (usage === undefined) return { inputTokens, outputTokens };
    // The input is known from the first event, with what of it was cached.
    const reported = Number(usage.output_tokens ?? 0);
    return { provider: 'anthropic', usage: { ...usage, output_tokens: Math.max(outputTokens, reported) } };
  },
};

/** What metered clients throw: an `APIError` of the SDK with the service's code and limits. */
class MeteringError extends APIError {
  declare readonly code: string;
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
    super(
      status,
      { type: 'error', error: { type: 'accounting_error', message, code } },
      message,
      new Headers(),
    );
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
