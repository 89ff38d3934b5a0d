import { ApiProperty } from '@nestjs/swagger';

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

const PRICE = { description: 'Credits per 1,000 tokens', example: '0.72' } as const;

export class ImportedPriceDto {
  @ApiProperty({ ...PRICE }) pricePerThousandTokens: string;
  @ApiProperty({ ...PRICE, type: String, nullable: true }) pricePerThousandInputTokens: string | null;
  @ApiProperty({ ...PRICE, type: String, nullable: true }) pricePerThousandOutputTokens: string | null;
}

export class PriceChangeDto {
  @ApiProperty({ example: 'gpt-4o-mini' }) modelId: string;
  @ApiProperty({
    type: () => ImportedPriceDto,
    nullable: true,
    description: 'Of the rule in force; null: there was none',
  })
  before: ImportedPriceDto | null;
  @ApiProperty({ type: () => ImportedPriceDto }) after: ImportedPriceDto;
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
    description: 'The first 500 of the rules made, by model: what users pay, before and after',
    maxItems: 500,
  })
  changes: PriceChangeDto[];
  @ApiProperty({ type: () => [SkippedModelDto], description: 'Models that were asked for and not imported' })
  skipped: SkippedModelDto[];
  @ApiProperty({ type: () => [ImportNoteDto], description: 'What to know of models that were imported' })
  notes: ImportNoteDto[];
}
