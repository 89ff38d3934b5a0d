import { ApiProperty } from '@nestjs/swagger';
import { ACCOUNT } from '../../common/http/account.js';
import { IntegerQuery, OnBehalfField, PayerField } from '../../common/http/validators.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-12-21T12:00:00.000Z' } as const;
const DEFAULT_WINDOW_DAYS = 14;
const MAXIMUM_WINDOW_DAYS = 90;

export class ForecastQueryDto {
  @IntegerQuery(1, MAXIMUM_WINDOW_DAYS, {
    description: 'Number of full UTC days, in addition to today, that the rate is based on',
    example: DEFAULT_WINDOW_DAYS,
    default: DEFAULT_WINDOW_DAYS,
  })
  windowDays: number = DEFAULT_WINDOW_DAYS;
}

export class OwnForecastQueryDto extends ForecastQueryDto {
  @OnBehalfField()
  userId?: string;

  @PayerField()
  accountId?: string;
}

export class ExpirationDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, description: 'Id of the lot', example: 1 })
  allocationId: number;
  @ApiProperty({ ...CREDITS, description: 'Credits in the lot now', example: 996 }) credits: number;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits that will be left in the lot when it expires',
    example: 96,
  })
  unusedCredits: number;
  @ApiProperty(TIME) expiresAt: string;
}

export class ForecastDto {
  @ApiProperty(ACCOUNT) accountId: string;
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({ ...CREDITS, example: DEFAULT_WINDOW_DAYS }) windowDays: number;
  @ApiProperty({
    type: 'number',
    minimum: 0,
    description: 'Current spending rate in credits per day, with up to three decimals',
    example: 30,
  })
  creditsPerDay: number;
  @ApiProperty({ ...CREDITS, description: 'Credits that can be spent now', example: 996 })
  availableCredits: number;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description: 'When all credits will be used up or expired; null if no credits are being used',
  })
  runsOutAt: string | null;
  @ApiProperty({ ...CREDITS, description: 'Credits that will expire unused', example: 96 })
  expiringUnusedCredits: number;
  @ApiProperty({
    type: () => [ExpirationDto],
    description: 'The first 1,000 lots with credits, ordered by expiry',
  })
  expirations: ExpirationDto[];
}
