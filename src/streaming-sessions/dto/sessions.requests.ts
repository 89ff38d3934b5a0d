import {
  BooleanField,
  DecimalField,
  IdField,
  MODEL_ID_LENGTH,
  NeedsField,
  NeverWith,
  SESSION_ID_LENGTH,
  TagsField,
  TOKENS_BY_CLASS,
  TokensField,
  OnBehalfField,
  PayerField,
  WholeTokensField,
} from '../../common/http/validators.js';
import { CALL_FORMS, DescribedCall } from '../../pricing/dto/described-call.dto.js';

const ESTIMATES = ['estimatedTokens', 'estimatedInputTokens', 'estimatedOutputTokens'];
const SESSION = { description: 'The caller’s id for the stream, unique per user', example: 'session-1' };

export class InitializeSessionDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @IdField(MODEL_ID_LENGTH, { description: 'The model', example: 'anthropic.claude-3-sonnet-20240229-v1:0' })
  modelId: string;

  @WholeTokensField(
    { description: 'Expected total tokens', example: 1000 },
    { required: ['estimatedInputTokens', 'estimatedOutputTokens'] },
    { required: ['inputTokens', 'maxOutputTokens'] },
  )
  estimatedTokens?: number;

  @TokensField({ description: 'Expected input tokens', required: false })
  estimatedInputTokens?: number;

  @TokensField({ description: 'Expected output tokens', required: false })
  estimatedOutputTokens?: number;

  @TokensField({
    description:
      'Input tokens of the call. With `maxOutputTokens` it takes the place of an estimate: the service holds what most ' +
      'calls of the model with an input of this size have needed, at most the cost of the maximum',
    required: false,
  })
  @NeedsField('maxOutputTokens')
  @NeverWith('inputTokens', ESTIMATES)
  inputTokens?: number;

  @TokensField({
    description: 'The most output tokens that the call may have, as the provider is asked for',
    required: false,
  })
  @NeedsField('inputTokens')
  maxOutputTokens?: number;

  @TagsField()
  tags?: Record<string, string>;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

export class ProgressDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @TokensField({ description: 'Tokens generated since the start of the stream', example: 500 })
  tokensGenerated: number;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

const COUNTS = ['actualTokens', 'inputTokens', 'outputTokens', 'cachedInputTokens'];

export class FinalizeSessionDto extends DescribedCall(COUNTS) {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @WholeTokensField({ description: 'Total tokens used', example: 700 }, TOKENS_BY_CLASS, ...CALL_FORMS)
  actualTokens?: number;

  @TokensField({ description: 'Input tokens used, excluding cached ones', required: false })
  inputTokens?: number;

  @TokensField({ description: 'Output tokens used', required: false })
  outputTokens?: number;

  @TokensField({ description: 'Input tokens read from the provider’s cache', required: false })
  cachedInputTokens?: number;

  @BooleanField({
    description: 'Whether the stream completed successfully',
    example: true,
    required: false,
    default: true,
  })
  success: boolean = true;

  @DecimalField({
    description:
      'What the provider charged, in USD. If omitted or null, it is computed from the pricing rule where ' +
      'possible',
    example: '0.0021',
    required: false,
    integerDigits: 7,
    maximum: '1000000',
  })
  providerCostUsd?: string;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

export class AbortSessionDto {
  @IdField(SESSION_ID_LENGTH, SESSION)
  sessionId: string;

  @TokensField({
    description: 'Tokens generated; defaults to the last reported progress',
    example: 120,
    required: false,
  })
  tokensGenerated?: number;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}
