import { ApiProperty } from '@nestjs/swagger';
import type { ClassAmount } from '../price.js';
import { CLASS_NAMES, type PriceClass } from '../price-classes.js';

const DECIMAL = { type: 'string', nullable: true } as const;

/** What one class of a call costs. */
export class ClassAmountDto implements ClassAmount {
  @ApiProperty({ enum: CLASS_NAMES, enumName: 'PriceClass', example: 'input' }) class: PriceClass;
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 0, description: 'Units used', example: 1000 })
  quantity: number;
  @ApiProperty({
    enum: CLASS_NAMES,
    enumName: 'PriceClass',
    nullable: true,
    description: 'The class whose price applies; null if the rule has none, so that the class is free',
    example: 'input',
  })
  pricedAs: PriceClass | null;
  @ApiProperty({ ...DECIMAL, description: 'Credits for one unit', example: '0.0025' })
  price: string | null;
  @ApiProperty({ ...DECIMAL, description: 'Credits for all units, exact', example: '2.5' })
  credits: string | null;
  @ApiProperty({
    ...DECIMAL,
    description: 'What the provider charges for them, in USD, exact; null if unknown',
    example: '0.0025',
  })
  providerCostUsd: string | null;
}
