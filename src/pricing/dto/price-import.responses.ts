import { ApiProperty } from '@nestjs/swagger';
import { RulePricesDto } from './pricing.responses.js';

const COUNT = { type: 'integer', format: 'int64', minimum: 0 } as const;

export class SkippedModelDto {
  @ApiProperty({ example: 'dall-e-3' }) modelId: string;
  @ApiProperty({
    description: 'Why the model was not imported. The text is the same for all models with the same cause',
    example: 'costs 0: free or unknown, includeFree=true imports it',
  })
  reason: string;
}

export class ImportNoteDto {
  @ApiProperty({ example: 'gemini-2.5-pro' }) modelId: string;
  @ApiProperty({
    description: 'What was left out of the model’s prices',
    example: 'has a price that is not imported: input_dbu_cost_per_token',
  })
  note: string;
}

export class PriceChangeDto {
  @ApiProperty({ example: 'gpt-4o-mini' }) modelId: string;
  @ApiProperty({
    type: () => RulePricesDto,
    nullable: true,
    description: 'Prices of the rule that was in force; null if there was none',
  })
  before: RulePricesDto | null;
  @ApiProperty({ type: () => RulePricesDto }) after: RulePricesDto;
}

export class PriceImportDto {
  @ApiProperty({
    ...COUNT,
    description: 'Number of rules created for new models and changed prices',
    example: 2110,
  })
  created: number;
  @ApiProperty({ ...COUNT, description: 'Number of rules ended because their price changed', example: 12 })
  closed: number;
  @ApiProperty({
    ...COUNT,
    description: 'Number of models whose rule in force already has the same prices',
    example: 0,
  })
  unchanged: number;
  @ApiProperty({
    type: () => [PriceChangeDto],
    description: 'The first 500 rules created, ordered by model id: the prices before and after',
    maxItems: 500,
  })
  changes: PriceChangeDto[];
  @ApiProperty({ type: () => [SkippedModelDto], description: 'Selected models that were not imported' })
  skipped: SkippedModelDto[];
  @ApiProperty({ type: () => [ImportNoteDto], description: 'Remarks on imported models' })
  notes: ImportNoteDto[];
}
