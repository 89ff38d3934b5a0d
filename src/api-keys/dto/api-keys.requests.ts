import { PERMISSIONS, type Permission } from '../../auth/caller.js';
import {
  EnumField,
  EnumListField,
  IdField,
  IntegerField,
  MAXIMUM_CREDITS,
  TextField,
  TimeField,
} from '../../common/http/validators.js';

const NAME_LENGTH = 100;
const KEY_TEXT_LENGTH = 200;
/** 30 days. */
const MAXIMUM_OVERLAP_SECONDS = 2_592_000;

const NAME = { description: 'What it is for', example: 'nightly report' };
const PERMISSIONS_FIELD = { description: 'What it may do', example: ['credits:read'] };
const EXPIRES_AT = {
  description: 'When it stops; null or left out: never',
  example: '2030-01-01T00:00:00Z',
  required: false,
  nullable: true,
  problem: (time: string) => (Date.parse(time) > Date.now() ? undefined : 'must lie in the future'),
};
const CREDIT_LIMIT = {
  description:
    'The most credits that may be spent and held with it, also by its rotated successors; null: no limit',
  example: 500,
  required: false,
  nullable: true,
};

export class CreateApiKeyDto {
  @IdField(NAME_LENGTH, NAME)
  name: string;

  @EnumListField(PERMISSIONS, { ...PERMISSIONS_FIELD, required: false })
  permissions: Permission[] = [];

  @TimeField(EXPIRES_AT)
  expiresAt?: string | null;

  @IntegerField(0, MAXIMUM_CREDITS, CREDIT_LIMIT)
  creditLimit?: number | null;
}

export class UpdateApiKeyDto {
  @IdField(NAME_LENGTH, { ...NAME, required: false })
  name?: string;

  @EnumListField(PERMISSIONS, { ...PERMISSIONS_FIELD, required: false })
  permissions?: Permission[];

  @TimeField(EXPIRES_AT)
  expiresAt?: string | null;

  @IntegerField(0, MAXIMUM_CREDITS, CREDIT_LIMIT)
  creditLimit?: number | null;
}

export class RotateApiKeyDto {
  @IntegerField(0, MAXIMUM_OVERLAP_SECONDS, {
    description: 'How long the old key goes on working; at most 30 days',
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

  @EnumField(PERMISSIONS, { description: 'What it is to do', example: 'sessions:write', required: false })
  permission?: Permission;
}
