import { ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { type GatewayName, GATEWAYS } from '../../common/gateways.js';
import { PERMISSIONS, type Permission } from '../../common/http/caller.js';
import { isoTime } from '../../common/http/time.js';
import type { ApiKey, GatewayState } from '../entities/api-key.entity.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const PERMISSION_LIST: ApiPropertyOptions = {
  isArray: true,
  enum: PERMISSIONS,
  enumName: 'Permission',
  example: ['credits:read'],
};

/** States as the owner sees them: until a key is live, it is on its way. */
export const SHOWN_GATEWAY_STATES = ['pending', 'live', 'ending', 'failed', 'ended'] as const;
export type ShownGatewayState = (typeof SHOWN_GATEWAY_STATES)[number];

/** What the lifetime budget of a key's line allows, and what of it is used and held. */
export interface KeyBudget {
  creditLimit: number | null;
  creditsUsed: number;
  creditsHeld: number;
}

/** A key as the operations answer it. */
export interface ApiKeyAnswer
  extends
    KeyBudget,
    Pick<
      ApiKey,
      | 'id'
      | 'accountId'
      | 'userId'
      | 'name'
      | 'keyHint'
      | 'permissions'
      | 'secondsLeft'
      | 'isActive'
      | 'gateway'
      | 'gatewayState'
      | 'gatewaySettings'
    > {
  createdAt: string;
  expiresAt: string | null;
  lastUsed: string | null;
}

export type DescribedKey = Omit<ApiKeyAnswer, keyof KeyBudget | 'createdAt' | 'expiresAt' | 'lastUsed'> &
  Pick<ApiKey, 'createdAt' | 'expiresAt' | 'lastUsed'>;

export class ApiKeyDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({
    description: 'The account that the key spends from: the user’s own, or an organisation',
    example: 'alice',
  })
  accountId: string;
  @ApiProperty({ description: 'The user who made the key, and for whom it acts', example: 'alice' })
  userId: string;
  @ApiProperty({ example: 'nightly report' }) name: string;
  @ApiProperty({ description: 'The prefix and the last four characters of the key', example: 'ak_…MTIz' })
  keyHint: string;
  @ApiProperty({ ...PERMISSION_LIST, description: 'Permissions of the key' }) permissions: Permission[];
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({ ...TIME, nullable: true, description: 'When the key expires; null: never' }) expiresAt:
    string | null;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description: 'When the key was last used, to the minute; null: never',
    example: null,
  })
  lastUsed: string | null;
  @ApiProperty({ description: 'Whether the key works: it is neither revoked nor expired', example: true })
  isActive: boolean;
  @ApiProperty({
    ...CREDITS,
    nullable: true,
    description:
      'Maximum credits that may be spent and held with the key and its rotated successors together; ' +
      'null: no limit',
    example: 500,
  })
  creditLimit: number | null;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits spent with the key and its rotated successors, and held by their active sessions',
    example: 12,
  })
  creditsUsed: number;
  @ApiProperty({
    enum: GATEWAYS,
    enumName: 'Gateway',
    nullable: true,
    description: 'Gateway in which the key also works; null if there is none',
    example: 'litellm',
  })
  gateway: GatewayName | null;
  @ApiProperty({
    enum: SHOWN_GATEWAY_STATES,
    enumName: 'GatewayState',
    nullable: true,
    description:
      'State of the key at the gateway. `pending`: being created; `live`: works; `ending`: ended here, ' +
      'but not yet at the gateway; `failed`: creation failed, cleanup pending; `ended`: no longer at the ' +
      'gateway',
    example: 'live',
  })
  gatewayState: ShownGatewayState | null;
  @ApiProperty({
    type: 'array',
    items: { type: 'string', example: 'gpt-4o-mini' },
    nullable: true,
    description: 'Models that the key may use at the gateway, such as `["gpt-4o-mini"]`; null: all',
    example: null,
  })
  models: string[] | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Maximum that the key may spend at the gateway, in USD, such as `"25.5"`; null: no limit',
    example: null,
  })
  maxBudgetUsd: string | null;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 1,
    nullable: true,
    description: 'Requests per minute at the gateway, such as 60; null: no limit',
    example: null,
  })
  rpmLimit: number | null;
  @ApiProperty({
    type: 'integer',
    format: 'int64',
    minimum: 1,
    nullable: true,
    description: 'Tokens per minute at the gateway, such as 100000; null: no limit',
    example: null,
  })
  tpmLimit: number | null;

  static fromAnswer(answer: ApiKeyAnswer): ApiKeyDto {
    const { createdAt, expiresAt, lastUsed } = answer;
    const times = {
      createdAt: new Date(createdAt),
      expiresAt: toDate(expiresAt),
      lastUsed: toDate(lastUsed),
    };
    return ApiKeyDto.from({ ...answer, ...times }, answer);
  }

  static from(key: DescribedKey, budget: KeyBudget): ApiKeyDto {
    return {
      id: key.id,
      accountId: key.accountId,
      userId: key.userId,
      name: key.name,
      keyHint: key.keyHint,
      permissions: key.permissions,
      createdAt: isoTime(key.createdAt),
      expiresAt: key.expiresAt === null ? null : isoTime(key.expiresAt),
      lastUsed: key.lastUsed === null ? null : isoTime(key.lastUsed),
      isActive: key.isActive && (key.secondsLeft ?? 1) > 0 && (key.gatewayState ?? 'live') === 'live',
      creditLimit: budget.creditLimit,
      creditsUsed: budget.creditsUsed + budget.creditsHeld,
      gateway: key.gateway,
      gatewayState: shown(key.gatewayState),
      models: key.gatewaySettings?.models ?? null,
      maxBudgetUsd: key.gatewaySettings?.maxBudgetUsd ?? null,
      rpmLimit: key.gatewaySettings?.rpmLimit ?? null,
      tpmLimit: key.gatewaySettings?.tpmLimit ?? null,
    };
  }
}

function toDate(time: string | null): Date | null {
  return time === null ? null : new Date(time);
}

function shown(state: GatewayState | null): ShownGatewayState | null {
  return state === 'opening' ? 'pending' : state;
}

export class CreatedApiKeyDto extends ApiKeyDto {
  @ApiProperty({
    description:
      'The key itself, shown only in this response. It begins with `sk-ak_` if it also works at a gateway',
    example: 'ak_Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTI',
  })
  key: string;
}

export class ApiKeyPageDto {
  @ApiProperty({ type: () => [ApiKeyDto] }) items: ApiKeyDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

export const VERIFICATION_CODES = [
  'valid',
  'not_found',
  'revoked',
  'expired',
  'missing_permission',
  'over_limit',
] as const;
export type VerificationCode = (typeof VERIFICATION_CODES)[number];

export class VerificationDto {
  @ApiProperty({ example: true }) valid: boolean;
  @ApiProperty({ enum: VERIFICATION_CODES, enumName: 'VerificationCode', example: 'valid' })
  code: VerificationCode;
  @ApiProperty({ ...ID, nullable: true }) keyId: number | null;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The account that the key spends from: the user’s own, or an organisation',
    example: 'alice',
  })
  accountId: string | null;
  @ApiProperty({ type: 'string', nullable: true, description: 'The user who made the key', example: 'alice' })
  userId: string | null;
  @ApiProperty({ ...PERMISSION_LIST, description: 'Permissions of the key' }) permissions: Permission[];
  @ApiProperty({ ...TIME, nullable: true, example: null }) expiresAt: string | null;
  @ApiProperty({
    ...CREDITS,
    nullable: true,
    description:
      'Credits that can be spent with the key now: the balance, or the rest of the key’s limit if that ' +
      'is less. 0 if the key is not valid, null if it does not exist',
    example: 488,
  })
  availableCredits: number | null;
}
