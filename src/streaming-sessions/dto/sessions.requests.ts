import {
  BooleanField,
  DecimalField,
  IdField,
  MODEL_ID_LENGTH,
  SESSION_ID_LENGTH,
  TokensField,
  OnBehalfField,
  WholeTokensField,
} from '../../common/http/validators.js';

const SESSION = { description: 'The caller’s id of the stream, unique per user', example: 'session-1' };

export class InitializeSessionDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @IdField(MODEL_ID_LENGTH, { description: 'The model', example: 'anthropic.claude-3-sonnet-20240229-v1:0' })
  modelId: string;

  @WholeTokensField(
    { description: 'Tokens expected in all', example: 1000 },
    { required: ['estimatedInputTokens', 'estimatedOutputTokens'] },
  )
  estimatedTokens?: number;

  @TokensField({ description: 'Input tokens expected', required: false })
  estimatedInputTokens?: number;

  @TokensField({ description: 'Output tokens expected', required: false })
  estimatedOutputTokens?: number;

  @OnBehalfField()
  userId?: string;
}

export class ProgressDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @TokensField({ description: 'Tokens generated since the start of the stream', example: 500 })
  tokensGenerated: number;

  @OnBehalfField()
  userId?: string;
}

export class FinalizeSessionDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @WholeTokensField({ description: 'Tokens used in all', example: 700 })
  actualTokens?: number;

  @TokensField({ description: 'Input tokens used, without the cached ones', required: false })
  inputTokens?: number;

  @TokensField({ description: 'Output tokens used', required: false })
  outputTokens?: number;

  @TokensField({ description: 'Input tokens read from the provider’s cache', required: false })
  cachedInputTokens?: number;

  @BooleanField({
    description: 'Whether the stream ended well',
    example: true,
    required: false,
    default: true,
  })
  success: boolean = true;

  @DecimalField({
    description: 'What the provider charged, in USD; left out or null: unknown',
    example: '0.0021',
    required: false,
    integerDigits: 7,
    maximum: '1000000',
  })
  providerCostUsd?: string;

  @OnBehalfField()
  userId?: string;
}

export class AbortSessionDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @TokensField({
    description: 'Tokens generated; left out: the last progress',
    example: 120,
    required: false,
  })
  tokensGenerated?: number;

  @OnBehalfField()
  userId?: string;
}
