import {
  type ApiBodyOptions,
  ApiExtension,
  ApiProperty,
  ApiPropertyOptional,
  getSchemaPath,
} from '@nestjs/swagger';
import { FOREIGN } from '../../common/http/openapi-schemas.js';

const TOKENS = { type: 'integer', format: 'int64', required: false } as const;

/** A standard logging payload. The service reads these fields and a few others, and ignores the rest. */
@ApiExtension(FOREIGN, true)
export class LitellmLogDto {
  @ApiProperty({ type: 'string', nullable: true, required: false }) id?: string | null;
  @ApiProperty({ required: false }) status?: string;
  @ApiProperty({ required: false }) model?: string;
  @ApiProperty(TOKENS) prompt_tokens?: number;
  @ApiProperty(TOKENS) completion_tokens?: number;
  @ApiProperty(TOKENS) total_tokens?: number;
  @ApiProperty({ type: 'number', nullable: true, required: false, description: 'USD' }) response_cost?:
    number | null;
  @ApiProperty({ type: 'number', required: false, description: 'Seconds since 1970' }) startTime?: number;
  @ApiProperty({ type: 'number', required: false, description: 'Seconds since 1970' }) endTime?: number;
  @ApiProperty({ type: 'string', nullable: true, required: false }) end_user?: string | null;
  @ApiPropertyOptional({ type: 'object', additionalProperties: true, nullable: true }) metadata?:
    object | null;
}

/** What the proxy's callback posts. One payload alone and newline-delimited JSON are taken as well. */
export const LITELLM_LOGS_BODY: ApiBodyOptions = {
  required: true,
  schema: {
    type: 'array',
    items: { $ref: getSchemaPath(LitellmLogDto) },
    maxItems: 10_000,
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
