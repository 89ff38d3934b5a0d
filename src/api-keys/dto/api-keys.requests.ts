import { type GatewayName, GATEWAYS } from '../../common/gateways.js';
import { PERMISSIONS, type Permission } from '../../common/http/caller.js';
import {
  DecimalField,
  EnumField,
  EnumListField,
  IdField,
  IdListField,
  IntegerField,
  MAXIMUM_CREDITS,
  MODEL_ID_LENGTH,
  OnBehalfField,
  PayerField,
  TextField,
  TimeField,
  Together,
} from '../../common/http/validators.js';

const NAME_LENGTH = 100;
const KEY_TEXT_LENGTH = 200;
/** 30 days. */
const MAXIMUM_OVERLAP_SECONDS = 2_592_000;
const MAXIMUM_MODELS = 100;
const MAXIMUM_BUDGET_USD = '1000000000';
const MAXIMUM_PER_MINUTE = 1_000_000_000;

const NAME = { description: 'A name that says what the key is for', example: 'nightly report' };
const PERMISSIONS_FIELD = { description: 'Permissions of the key', example: ['credits:read'] };
const EXPIRES_AT = {
  description: 'When the key expires; null: never',
  example: '2030-01-01T00:00:00Z',
  required: false,
  nullable: true,
};
const CREDIT_LIMIT = {
  description:
    'Maximum credits that may be spent and held with the key and its rotated successors together; ' +
    'null: no limit. With a gateway it is also the maximum that each of these keys may spend there, ' +
    'converted to USD with CREDITS_PER_USD and counted by the gateway at provider cost. Calls through ' +
    'the gateway are recorded after they have finished: neither the limit nor the balance of this ' +
    'service stops them',
  example: 500,
  required: false,
  nullable: true,
};

/** What only a gateway can heed must not be taken for heeded without one. */
const NeedsGateway = () =>
  Together('needsGateway', ({ gateway }: CreateApiKeyDto) =>
    gateway === undefined ? 'is only allowed together with gateway' : undefined,
  );

export class CreateApiKeyDto {
  @IdField(NAME_LENGTH, NAME)
  name: string;

  @EnumListField('Permission', PERMISSIONS, { ...PERMISSIONS_FIELD, required: false })
  permissions: Permission[] = [];

  @TimeField(EXPIRES_AT)
  expiresAt?: string | null;

  @IntegerField(0, MAXIMUM_CREDITS, CREDIT_LIMIT)
  creditLimit?: number | null;

  @EnumField('Gateway', GATEWAYS, {
    description:
      'Gateway in which the key also works: `litellm` creates it as a virtual key of the configured ' +
      'LiteLLM proxy',
    example: 'litellm',
    required: false,
  })
  gateway?: GatewayName;

  @IdListField(MAXIMUM_MODELS, MODEL_ID_LENGTH, {
    description: 'Models that the key may use at the gateway; defaults to all',
    example: ['gpt-4o-mini'],
    required: false,
  })
  @NeedsGateway()
  models?: string[];

  @DecimalField({
    description:
      'Maximum that the key may spend at the gateway, in USD, as counted by the gateway; the lower of ' +
      'this and `creditLimit` in USD applies',
    example: '25.5',
    required: false,
    integerDigits: 10,
    maximum: MAXIMUM_BUDGET_USD,
  })
  @Together('positive', ({ maxBudgetUsd }: CreateApiKeyDto) =>
    /^0+(\.0+)?$/.test(String(maxBudgetUsd)) ? 'must be more than 0' : undefined,
  )
  @NeedsGateway()
  maxBudgetUsd?: string;

  @IntegerField(1, MAXIMUM_PER_MINUTE, {
    description: 'Requests per minute at the gateway',
    example: 60,
    required: false,
  })
  @NeedsGateway()
  rpmLimit?: number;

  @IntegerField(1, MAXIMUM_PER_MINUTE, {
    description: 'Tokens per minute at the gateway',
    example: 100000,
    required: false,
  })
  @NeedsGateway()
  tpmLimit?: number;

  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

export class UpdateApiKeyDto {
  @IdField(NAME_LENGTH, { ...NAME, required: false })
  name?: string;

  @EnumListField('Permission', PERMISSIONS, { ...PERMISSIONS_FIELD, required: false })
  permissions?: Permission[];

  @TimeField(EXPIRES_AT)
  expiresAt?: string | null;

  @IntegerField(0, MAXIMUM_CREDITS, CREDIT_LIMIT)
  creditLimit?: number | null;
}

export class RotateApiKeyDto {
  @IntegerField(0, MAXIMUM_OVERLAP_SECONDS, {
    description: 'How many seconds the old key continues to work, at most 30 days',
    example: 3600,
    required: false,
    default: 0,
  })
  overlapSeconds: number = 0;
}

export class VerifyApiKeyDto {
  @TextField(KEY_TEXT_LENGTH, {
    minimumLength: 1,
    description: 'The key',
    example: 'ak_Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTI',
  })
  key: string;

  @EnumField('Permission', PERMISSIONS, {
    description: 'The permission to check',
    example: 'sessions:write',
    required: false,
  })
  permission?: Permission;
}
