import type {
  GatewayBounds,
  GatewayKeyRequest,
  GatewayOutcome,
  KeyGateway,
} from '../../api-keys/key-gateway.js';
import { boundedFetch } from '../../common/http/bounded-fetch.js';
import type { LitellmConfig } from '../../config/env.js';
import { PROXY_ADMIN } from './litellm-event.js';

/** Errors that come before a single byte of the request has gone out. */
const NEVER_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

/** An answer repeats the settings of a key, which have a few kB. */
const MAXIMUM_ANSWER_BYTES = 1_000_000;

/** A hundred years: the proxy adds the duration to its clock, and its calendar ends with the year 9999. */
const MAXIMUM_DURATION_SECONDS = 3_155_760_000;

/**
 * The key management of a LiteLLM proxy: https://docs.litellm.ai/docs/proxy/virtual_keys. The proxy knows a key by its
 * SHA-256 as we do, so everything but making and opening it goes by the digest.
 */
export class LitellmKeys implements KeyGateway {
  readonly administratorId = PROXY_ADMIN;

  constructor(private readonly settings: LitellmConfig) {}

  async generate(request: GatewayKeyRequest): Promise<GatewayOutcome> {
    const { maxBudgetUsd, group } = request;
    const { models, rpmLimit, tpmLimit } = request.settings;
    const { outcome, body } = await this.post('/key/generate', {
      key: request.key,
      key_alias: request.alias,
      user_id: request.userId,
      // The organization of a team is the proxy's to know.
      ...(group === null ? {} : { [`${group.kind}_id`]: group.id }),
      blocked: true,
      // Calls of models only: without it, a key may also read and change what its user may at the proxy.
      key_type: 'llm_api',
      metadata: { accounting_key_id: request.keyId },
      ...(models === null ? {} : { models }),
      ...(maxBudgetUsd === null ? {} : { max_budget: maxBudgetUsd }),
      ...(rpmLimit === null ? {} : { rpm_limit: rpmLimit }),
      ...(tpmLimit === null ? {} : { tpm_limit: tpmLimit }),
      ...(request.secondsLeft === null ? {} : { duration: durationOf(request.secondsLeft) }),
    });
    // A proxy that answers without the key that was chosen has not made it.
    return outcome.kind === 'done' && body?.key !== request.key ? { kind: 'unknown' } : outcome;
  }

  /** By the key itself: some versions take no digest here (https://github.com/BerriAI/litellm/issues/13136). */
  async unblock(key: string): Promise<GatewayOutcome> {
    return (await this.post('/key/unblock', { key })).outcome;
  }

  async bound(digest: string, { secondsLeft, maxBudgetUsd }: GatewayBounds): Promise<GatewayOutcome> {
    const duration = secondsLeft === null ? '-1' : durationOf(secondsLeft);
    return (await this.post('/key/update', { key: digest, duration, max_budget: maxBudgetUsd })).outcome;
  }

  async remove(digest: string): Promise<GatewayOutcome> {
    const { outcome, body } = await this.post('/key/delete', { keys: [digest] });
    const deleted = body?.deleted_keys;
    const isNamed = Array.isArray(deleted) && deleted.includes(digest);
    return outcome.kind === 'done' && !isNamed ? { kind: 'unknown' } : outcome;
  }

  private async post(
    path: string,
    body: object,
  ): Promise<{ outcome: GatewayOutcome; body?: Record<string, unknown> | undefined }> {
    const { baseUrl, masterKey, timeoutMilliseconds } = this.settings;
    try {
      const { status, text } = await boundedFetch(baseUrl + path, {
        method: 'POST',
        // The master key goes to the configured address and to no other: redirections are not followed.
        headers: { authorization: `Bearer ${masterKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        deadlineMilliseconds: timeoutMilliseconds,
        maximumBytes: MAXIMUM_ANSWER_BYTES,
      });
      const answer = parseObject(text);
      return { outcome: outcomeOf(status, answer), body: answer };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return { outcome: { kind: code !== undefined && NEVER_SENT.includes(code) ? 'unreached' : 'unknown' } };
    }
  }
}

function outcomeOf(status: number, answer: Record<string, unknown> | undefined): GatewayOutcome {
  // A page of whatever else may be at that address says nothing of keys.
  if (status >= 200 && status < 300) return { kind: answer === undefined ? 'unknown' : 'done' };
  if (status === 429) return { kind: 'unreached' };
  if (status >= 500 || status === 408) return { kind: 'unknown' };
  // A 404, too, counts in the proxy's own words only.
  if (status === 404 && typeof answer?.error === 'object') return { kind: 'absent' };
  return { kind: 'refused', status };
}

function durationOf(seconds: number): string {
  return `${Math.min(Math.max(Math.ceil(seconds), 1), MAXIMUM_DURATION_SECONDS)}s`;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
