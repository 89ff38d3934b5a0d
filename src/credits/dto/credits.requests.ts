import { applyDecorators } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import { FORMS } from '../../common/http/openapi-schemas.js';
import {
  AccountField,
  EmailField,
  IdField,
  IntegerField,
  MAXIMUM_CREDITS,
  MODEL_ID_LENGTH,
  OnBehalfField,
  PayerField,
  TextField,
  TOKENS_BY_CLASS,
  TokensField,
  Together,
  UserIdField,
  WholeTokensField,
} from '../../common/http/validators.js';
import { CALL_FORMS, DescribedCall } from '../../pricing/dto/described-call.dto.js';

const MODEL = 'anthropic.claude-3-sonnet-20240229-v1:0';
const NOTES_LENGTH = 1000;

export class CheckCreditsDto {
  @IntegerField(0, MAXIMUM_CREDITS, { description: 'Credits required', example: 100 })
  requiredCredits: number;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

const COUNTS = ['tokens', 'inputTokens', 'outputTokens', 'cachedInputTokens'];

export class CalculateCreditsDto extends DescribedCall(COUNTS) {
  @IdField(MODEL_ID_LENGTH, { description: 'The model', example: MODEL })
  modelId: string;

  @WholeTokensField(
    { description: 'Total tokens of the call, charged at the blended price', example: 1000 },
    TOKENS_BY_CLASS,
    ...CALL_FORMS,
  )
  tokens?: number;

  @TokensField({ description: 'Input tokens, excluding cached ones', required: false })
  inputTokens?: number;

  @TokensField({ description: 'Output tokens', required: false })
  outputTokens?: number;

  @TokensField({ description: 'Input tokens read from the provider’s cache', required: false })
  cachedInputTokens?: number;
}

/** Credits are given to a user or to an account, and are so taken away. */
const NamedUserField = (description: string): PropertyDecorator =>
  applyDecorators(
    UserIdField({
      description,
      required: false,
      isNeeded: ({ accountId }: { accountId?: string }) => accountId === undefined,
    }),
    Together('oneAccount', ({ userId, accountId }: { userId?: string; accountId?: string }) => {
      return userId !== undefined && accountId !== undefined
        ? 'cannot be given together with accountId'
        : undefined;
    }),
    (owner: object): void => {
      ApiExtension(FORMS, [{ required: ['userId'] }, { required: ['accountId'] }])(owner.constructor);
    },
  );
const NamedAccountField = () =>
  AccountField({
    description: 'The account, instead of `userId`: a user’s id, or an organisation’s',
    required: false,
    example: undefined,
  });

export class AllocateCreditsDto {
  @NamedUserField('The user to allocate to, also before the user’s first token')
  userId?: string;

  @NamedAccountField()
  accountId?: string;

  @IntegerField(1, MAXIMUM_CREDITS, { description: 'Credits to allocate', example: 1000 })
  credits: number;

  @IntegerField(1, 3650, {
    description: 'Number of 24-hour days until the credits expire',
    example: 30,
    required: false,
    default: 30,
  })
  expiryDays: number = 30;

  @TextField(NOTES_LENGTH, {
    description: 'Reason, recorded in the ledger',
    example: 'Monthly budget',
    required: false,
  })
  notes?: string;

  @EmailField({
    description: 'E-mail for the account if this allocation creates it',
    example: 'alice@example.com',
    required: false,
  })
  email?: string;

  @IdField(100, {
    description: 'Name for the account if this allocation creates it',
    example: 'alice',
    required: false,
  })
  username?: string;
}

export class DeductCreditsDto {
  @NamedUserField('The user to deduct from')
  userId?: string;

  @NamedAccountField()
  accountId?: string;

  @IntegerField(1, MAXIMUM_CREDITS, { description: 'Credits to deduct', example: 5 })
  credits: number;

  @TextField(NOTES_LENGTH, {
    minimumLength: 1,
    description: 'Reason, recorded in the ledger',
    example: 'Correction of ticket 42',
  })
  notes: string;
}

export class RevokeAllocationDto {
  @TextField(NOTES_LENGTH, {
    description: 'Reason, recorded in the ledger',
    example: 'Given by mistake',
    required: false,
  })
  notes?: string;
}
