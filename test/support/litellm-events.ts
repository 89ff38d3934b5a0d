import { randomUUID } from 'node:crypto';
import { SONNET } from './money.js';

export const LOGS = '/api/integrations/litellm/logs';
export const SECRET = 'a prompt that must be stored nowhere';

export interface Fields {
  user?: string | null;
  keyHash?: string | null;
  metadata?: object;
  [field: string]: unknown;
}

/** A call of 400 + 600 tokens of a model that costs 3 credits per 1,000, as LiteLLM's proxy reports it. */
export function event({ user = null, keyHash = null, metadata = {}, ...fields }: Fields = {}) {
  return {
    id: `chatcmpl-${randomUUID()}`,
    litellm_call_id: randomUUID(),
    call_type: 'acompletion',
    status: 'success',
    model: `bedrock/${SONNET}`,
    model_group: 'sonnet',
    custom_llm_provider: 'bedrock',
    prompt_tokens: 400,
    completion_tokens: 600,
    total_tokens: 1000,
    response_cost: 0.0021,
    startTime: Date.now() / 1000 - 2,
    endTime: Date.now() / 1000,
    end_user: '',
    metadata: { user_api_key_user_id: user, user_api_key_hash: keyHash, ...metadata },
    error_information: { error_code: '', error_message: SECRET, traceback: SECRET },
    messages: [{ role: 'user', content: SECRET }],
    response: { choices: [{ message: { content: SECRET } }] },
    ...fields,
  };
}

export interface Counts {
  accepted: number;
  duplicates: number;
  review: number;
  quarantined: number;
  ignored: number;
}
export const NONE: Counts = { accepted: 0, duplicates: 0, review: 0, quarantined: 0, ignored: 0 };
