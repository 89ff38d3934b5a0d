import { ApiProperty } from '@nestjs/swagger';

const COUNT = { type: 'integer', format: 'int64', minimum: 0 } as const;
const TIME = { type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' } as const;
const USD = { type: 'string', description: 'USD', example: '0.003' } as const;

export class PriceEffectDto {
  @ApiProperty({ ...COUNT, description: 'What the calls cost', example: 3 }) credits: number;
  @ApiProperty({ ...USD, description: 'What is collected for them, in USD' }) incomeUsd: string;
  @ApiProperty({
    ...USD,
    nullable: true,
    description: 'Sum of the known provider costs; null if none is known',
  })
  providerCostUsd: string | null;
  @ApiProperty({
    ...USD,
    nullable: true,
    description:
      'Income minus provider cost, of the calls whose provider cost is known; null if there are none',
  })
  marginUsd: string | null;
}

export class AffectedAccountDto {
  @ApiProperty({ example: 'alice' }) accountId: string;
  @ApiProperty({ ...COUNT, description: 'Number of its calls', example: 12 }) records: number;
  @ApiProperty({ ...COUNT, description: 'What they cost', example: 36 }) credits: number;
  @ApiProperty({ ...COUNT, description: 'What they would have cost', example: 48 }) repricedCredits: number;
}

export class PricePreviewDto {
  @ApiProperty({ ...TIME, description: 'Calls count from then on' }) from: string;
  @ApiProperty({ ...COUNT, description: 'Number of calls that were priced again', example: 12 })
  records: number;
  @ApiProperty({
    ...TIME,
    nullable: true,
    description: 'Set if there are too many calls to price them all: the time of the oldest that counts',
    example: null,
  })
  since: string | null;
  @ApiProperty({ type: () => PriceEffectDto, description: 'As they were charged' }) charged: PriceEffectDto;
  @ApiProperty({ type: () => PriceEffectDto, description: 'As this price would have charged them' })
  repriced: PriceEffectDto;
  @ApiProperty({
    type: () => [AffectedAccountDto],
    description: 'The ten accounts for which the credits change most, the largest change first',
  })
  accounts: AffectedAccountDto[];
}
