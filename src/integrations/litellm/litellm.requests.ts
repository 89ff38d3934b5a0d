import type { ApiBodyOptions } from '@nestjs/swagger';

const EVENT = {
  type: 'object',
  nullable: true,
  additionalProperties: true,
  description:
    'A standard logging payload. The service reads these fields and a few others, and ignores the rest',
  properties: {
    id: { type: 'string', nullable: true },
    status: { type: 'string' },
    model: { type: 'string' },
    prompt_tokens: { type: 'integer' },
    completion_tokens: { type: 'integer' },
    total_tokens: { type: 'integer' },
    response_cost: { type: 'number', nullable: true },
    startTime: { type: 'number' },
    endTime: { type: 'number' },
    end_user: { type: 'string', nullable: true },
    metadata: { type: 'object', additionalProperties: true },
  },
} as const;

/** What the proxy's callback posts; newline-delimited JSON, which no schema describes, is taken as well. */
export const LITELLM_LOGS_BODY: ApiBodyOptions = {
  required: true,
  schema: {
    oneOf: [{ type: 'array', items: EVENT, maxItems: 10_000 }, EVENT],
    example: [
      {
        id: 'chatcmpl-362d7cae-756f-4089-ab88-cad8183d4408',
        litellm_call_id: '26a4af17-7a6d-4ab7-a0b9-a079eee5baec',
        call_type: 'acompletion',
        status: 'success',
        model: 'openai/gpt-4o-mini',
        custom_llm_provider: 'openai',
        prompt_tokens: 10,
        completion_tokens: 20,
        total_tokens: 30,
        response_cost: 0.0000135,
        startTime: 1795250279.825764,
        endTime: 1795250279.846899,
        end_user: '',
        metadata: {
          user_api_key_user_id: 'alice',
          user_api_key_hash: '099295a3784e1bd368dc348843a7398c1931b6b8ec2504c73e91ed2040bdc46c',
        },
      },
    ],
  },
};
