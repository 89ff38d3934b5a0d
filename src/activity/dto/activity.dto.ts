import { ApiProperty } from '@nestjs/swagger';
import { ACTIVITY_ACTIONS, type ActivityAction } from '../../common/database/activity.js';
import { CursorField, LimitQueryDto } from '../../common/http/page.js';
import { AccountField, EnumField, IdField, TimeField } from '../../common/http/validators.js';
import { isActivityCursor } from '../activity-cursor.js';

export const ACTOR_ROLES = ['user', 'supervisor', 'admin', 'service'] as const;
export type ActorRole = (typeof ACTOR_ROLES)[number];

export class ActivityQueryDto extends LimitQueryDto {
  @CursorField(isActivityCursor, { maxLength: 60, example: 'MTc2NDAwMDAwMDAwMDAwMF83' })
  cursor?: string;

  @AccountField({
    description:
      'Only changes to this account: your own, or an organisation that you own or administer; admins may name any. ' +
      'If omitted, admins get all changes and others those to their own account',
    required: false,
  })
  accountId?: string;

  @IdField(64, {
    description: 'Only what this actor changed: a user’s id, or `service:…`',
    required: false,
    example: 'root',
  })
  actor?: string;

  @EnumField('ActivityAction', ACTIVITY_ACTIONS, { description: 'Only this action', required: false })
  action?: ActivityAction;

  @IdField(200, {
    description: 'Only changes of this subject: the id or name of what was changed',
    required: false,
    example: 'gpt-4o',
  })
  subject?: string;

  @TimeField({
    description: 'Only changes from this time on',
    required: false,
    inQuery: true,
    example: '2026-11-01T00:00:00Z',
  })
  from?: string;

  @TimeField({
    description: 'Only changes before this time',
    required: false,
    inQuery: true,
    example: '2026-12-01T00:00:00Z',
  })
  to?: string;
}

const VALUES = {
  type: 'object',
  additionalProperties: true,
  nullable: true,
} as const;

/** A change. */
export class ActivityDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 7 }) id: number;
  @ApiProperty({ type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' }) at: string;

  @ApiProperty({
    type: 'string',
    nullable: true,
    description:
      'The account that was changed; null for a change that belongs to no account, such as a price',
    example: 'alice',
  })
  accountId: string | null;

  @ApiProperty({ enum: ACTIVITY_ACTIONS, enumName: 'ActivityAction', example: 'credits.allocated' })
  action: ActivityAction;

  @ApiProperty({ type: 'string', description: 'The id or name of what was changed', example: '42' })
  subject: string;

  @ApiProperty({
    type: 'string',
    description: 'Who changed it: a user’s id, or `service:…` for a program',
    example: 'root',
  })
  actor: string;

  @ApiProperty({ enum: ACTOR_ROLES, enumName: 'ActorRole', example: 'admin' }) actorRole: ActorRole;

  @ApiProperty({
    type: 'string',
    nullable: true,
    description:
      'The address that the request came from; null for a program without a request, and, unless you are an admin, for ' +
      'changes by the platform',
    example: '203.0.113.7',
  })
  address: string | null;

  @ApiProperty({
    type: 'string',
    nullable: true,
    description: '`X-Request-Id` of the request, as in the service’s log; null where `address` is',
    example: '6b0c2a52-3c1e-4f0a-9c1d-0d6f1a2b3c4d',
  })
  requestId: string | null;

  @ApiProperty({
    ...VALUES,
    description: 'What it was before: of a change, only fields that differ; null for something new',
    example: null,
  })
  before: Record<string, unknown> | null;

  @ApiProperty({
    ...VALUES,
    description: 'What it is since: of a change, only fields that differ; null for something deleted',
    example: { totalCredits: 1000, expiresAt: '2026-12-21T12:00:00.000Z' },
  })
  after: Record<string, unknown> | null;
}

export class ActivityPageDto {
  @ApiProperty({ type: [ActivityDto] }) items: ActivityDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The `cursor` of the next page; null: this is the last one',
    example: null,
  })
  nextCursor: string | null;
}
