import {
  EmailField,
  IdField,
  IntegerField,
  MAXIMUM_CREDITS,
  MODEL_ID_LENGTH,
  OnBehalfField,
  TextField,
  TokensField,
  UserIdField,
  WholeTokensField,
} from '../../common/http/validators.js';

const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const NOTES_LENGTH = 1000;

export class CheckCreditsDto {
  @IntegerField(0, MAXIMUM_CREDITS, { description: 'Credits required', example: 100 })
  requiredCredits: number;

  @OnBehalfField()
  userId?: string;
}

export class CalculateCreditsDto {
  @IdField(MODEL_ID_LENGTH, { description: 'The model', example: MODEL })
  modelId: string;

  @WholeTokensField({ description: 'Tokens of the call, at the blended price', example: 1000 })
  tokens?: number;

  @TokensField({ description: 'Input tokens without the cached ones', required: false })
  inputTokens?: number;

  @TokensField({ description: 'Output tokens', required: false })
  outputTokens?: number;

  @TokensField({ description: 'Input tokens read from the provider’s cache', required: false })
  cachedInputTokens?: number;
}

export class AllocateCreditsDto {
  @UserIdField({ description: 'The user to allocate to' })
  userId: string;

  @IntegerField(1, MAXIMUM_CREDITS, { description: 'Credits to move', example: 1000 })
  credits: number;

  @IntegerField(1, 3650, {
    description: 'Days of 24 hours until they expire',
    example: 30,
    required: false,
    default: 30,
  })
  expiryDays: number = 30;

  @TextField(NOTES_LENGTH, { description: 'Why, for the ledger', example: 'Monthly budget', required: false })
  notes?: string;

  @EmailField({ description: 'E-mail of a user not yet seen', example: 'alice@example.com', required: false })
  email?: string;

  @IdField(100, { description: 'Name of a user not yet seen', example: 'alice', required: false })
  username?: string;
}

export class DeductCreditsDto {
  @UserIdField({ description: 'The user to deduct from' })
  userId: string;

  @IntegerField(1, MAXIMUM_CREDITS, { description: 'Credits to move', example: 5 })
  credits: number;

  @TextField(NOTES_LENGTH, {
    minimumLength: 1,
    description: 'Why, for the ledger',
    example: 'Correction of ticket 42',
  })
  notes: string;
}

export class RevokeAllocationDto {
  @TextField(NOTES_LENGTH, {
    description: 'Why, for the ledger',
    example: 'Given by mistake',
    required: false,
  })
  notes?: string;
}
