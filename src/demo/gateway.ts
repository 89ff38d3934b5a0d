import { CAST } from './people.js';
import { request } from './requests.js';

/** A user who has a key of the gateway and has never come to the service. */
const STRANGER = 'yuki.mori';
const [, , UNPAID] = CAST.others;

/**
 * What a LiteLLM proxy reports of finished calls: one is charged, one cannot be paid and is kept for a review, and the
 * others wait in quarantine, because their user is unknown or they are invalid.
 *
 * @param api of the service, without a slash at its end
 * @param internalKey that the proxy is let in with
 */
export async function reportGatewayCalls(api: string, internalKey: string): Promise<void> {
  const now = Date.now() / 1000;
  const call = (index: number, userId: string, more: object = {}) => ({
    id: `chatcmpl-demo-${index}`,
    call_type: 'acompletion',
    status: 'success',
    model: 'gpt-4o',
    custom_llm_provider: 'openai',
    prompt_tokens: 1400 + 37 * index,
    completion_tokens: 520 + 11 * index,
    total_tokens: 1920 + 48 * index,
    startTime: now - 60 * index - 4,
    endTime: now - 60 * index,
    metadata: { user_api_key_user_id: userId },
    ...more,
  });
  await request(`${api}/integrations/litellm/logs`, { 'x-internal-api-key': internalKey }, [
    call(1, CAST.user.userId),
    call(2, UNPAID.userId, { prompt_tokens: 110_000, completion_tokens: 16_000, total_tokens: 126_000 }),
    ...[3, 4, 5].map((index) => call(index, STRANGER)),
    call(6, CAST.user.userId, { endTime: null }),
  ]);
}
