import { ApiProperty } from '@nestjs/swagger';
import { RulePricesDto } from './pricing.responses.js';

const COUNT = { type: 'integer', minimum: 0 } as const;

export class SkippedModelDto {
  @ApiProperty({ example: 'dall-e-3' }) modelId: string;
  @ApiProperty({
    description: 'Why it was not imported; the same words for the same cause',
    example: 'is not charged by text tokens: mode image_generation',
  })
  reason: string;
}

export class ImportNoteDto {
  @ApiProperty({ example: 'gemini-2.5-pro' }) modelId: string;
  @ApiProperty({
    description: 'What of its price the rule cannot say',
    example: 'has other prices for long prompts: the base price applies',
  })
  note: string;
}

export class PriceChangeDto {
  @ApiProperty({ example: 'gpt-4o-mini' }) modelId: string;
  @ApiProperty({
    type: () => RulePricesDto,
    nullable: true,
    description: 'Of the rule in force; null: there was none',
  })
  before: RulePricesDto | null;
  @ApiProperty({ type: () => RulePricesDto }) after: RulePricesDto;
}

export class PriceImportDto {
  @ApiProperty({ ...COUNT, description: 'Rules made: of new models and of changed prices', example: 2110 })
  created: number;
  @ApiProperty({ ...COUNT, description: 'Rules that these ended: changed prices', example: 12 })
  closed: number;
  @ApiProperty({
    ...COUNT,
    description: 'Models whose rule in force says the same already',
    example: 0,
  })
  unchanged: number;
  @ApiProperty({
    type: () => [PriceChangeDto],
    description: 'The first 500 of the rules made, by model: the rule before and after',
    maxItems: 500,
  })
  changes: PriceChangeDto[];
  @ApiProperty({ type: () => [SkippedModelDto], description: 'Models that were asked for and not imported' })
  skipped: SkippedModelDto[];
  @ApiProperty({ type: () => [ImportNoteDto], description: 'What to know of models that were imported' })
  notes: ImportNoteDto[];
}
