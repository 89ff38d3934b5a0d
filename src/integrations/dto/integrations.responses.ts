import { ApiProperty } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import { isoTime } from '../../common/http/time.js';
import type { KeptEvent } from '../gateway.js';
import {
  QUARANTINE_REASONS,
  type QuarantineReason,
  type UsageQuarantine,
} from '../entities/usage-quarantine.entity.js';

const COUNT = { type: 'integer', format: 'int64', minimum: 0 } as const;
const ID = { type: 'integer', format: 'int64', minimum: 1, example: 1 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;

/** What has become of each of some events; the numbers add up to how many there were. */
export class EventCountsDto {
  @ApiProperty({ ...COUNT, description: 'Calls that were charged', example: 1 }) accepted: number;
  @ApiProperty({ ...COUNT, description: 'Calls that had been charged or recorded before', example: 0 })
  duplicates: number;
  @ApiProperty({ ...COUNT, description: 'Calls that were recorded for review without debiting', example: 0 })
  review: number;
  @ApiProperty({
    ...COUNT,
    description: 'Calls that are kept in quarantine until they can be charged',
    example: 0,
  })
  quarantined: number;
  @ApiProperty({
    ...COUNT,
    description: 'Elements without anything to charge: failed calls and empty elements',
    example: 0,
  })
  ignored: number;
}

export function noEvents(): EventCountsDto {
  return { accepted: 0, duplicates: 0, review: 0, quarantined: 0, ignored: 0 };
}

export class QuarantinedEventDto {
  @ApiProperty(ID) id: number;
  @ApiProperty({ example: 'litellm' }) source: string;
  @ApiProperty({ example: 'b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c' })
  fingerprint: string;
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'The user that the call names',
    example: 'carol',
  })
  claimedUser: string | null;
  @ApiProperty({ enum: QUARANTINE_REASONS, enumName: 'QuarantineReason', example: 'unknown_user' })
  reason: QuarantineReason;
  @ApiProperty({ type: 'string', nullable: true, example: null }) detail: string | null;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string', nullable: true },
    description: 'Facts about the call, without prompts and answers',
    example: { id: 'chatcmpl-1', model: 'openai/gpt-4o-mini', promptTokens: '10', completionTokens: '20' },
  })
  event: KeptEvent;
  @ApiProperty(TIME) createdAt: string;
  @ApiProperty({ ...TIME, nullable: true, description: 'When the call was last retried', example: null })
  attemptedAt: string | null;

  static from(row: UsageQuarantine): QuarantinedEventDto {
    return {
      id: row.id,
      source: row.source,
      fingerprint: row.fingerprint,
      claimedUser: row.claimedUser,
      reason: row.reason,
      detail: row.detail,
      event: row.event,
      createdAt: isoTime(row.createdAt),
      attemptedAt: row.attemptedAt === null ? null : isoTime(row.attemptedAt),
    };
  }
}

export class QuarantinePageDto {
  @ApiProperty({ type: () => [QuarantinedEventDto] }) items: QuarantinedEventDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}

export class CostDifferenceDto {
  @ApiProperty({ ...ID, description: 'Id of the usage record' }) usageId: number;
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty(TIME) timestamp: string;
  @ApiProperty({ example: 'gpt-4o-mini' }) modelId: string;
  @ApiProperty({ example: 'litellm:chatcmpl-1' }) requestId: string;
  @ApiProperty({ description: 'What the gateway reported, in USD', example: '0.0021' })
  reportedCostUsd: string;
  @ApiProperty({ description: 'What the pricing rule says, in USD', example: '0.0018' })
  computedCostUsd: string;
}

export class CostDifferencePageDto {
  @ApiProperty({ type: () => [CostDifferenceDto] }) items: CostDifferenceDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}
