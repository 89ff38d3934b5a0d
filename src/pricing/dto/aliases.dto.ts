import { ApiProperty } from '@nestjs/swagger';
import { IdField, MODEL_ID_LENGTH } from '../../common/http/validators.js';
import type { PricingAlias } from '../entities/pricing-alias.entity.js';

export class CreateAliasDto {
  @IdField(MODEL_ID_LENGTH, {
    description:
      'The name under which calls come: a deployment, an inference profile, a name with a provider in front',
    example: 'openai/gpt-4o',
    inPath: true,
  })
  alias: string;

  @IdField(MODEL_ID_LENGTH, { description: 'The model whose price applies', example: 'gpt-4o', inPath: true })
  modelId: string;
}

export class AliasDto {
  @ApiProperty({ type: 'integer', format: 'int64', minimum: 1, example: 1 }) id: number;
  @ApiProperty({ example: 'openai/gpt-4o' }) alias: string;
  @ApiProperty({ example: 'gpt-4o' }) modelId: string;
  @ApiProperty({ description: 'Who created the alias', example: 'root' }) createdBy: string;
  @ApiProperty({ type: 'string', format: 'date-time', example: '2026-11-21T12:00:00.000Z' })
  createdAt: string;

  static from({ id, alias, modelId, createdBy, createdAt }: PricingAlias): AliasDto {
    return { id, alias, modelId, createdBy, createdAt: createdAt.toISOString() };
  }
}

export class AliasPageDto {
  @ApiProperty({ type: () => [AliasDto], description: 'Aliases in the order of their creation' })
  items: AliasDto[];
  @ApiProperty({
    type: 'string',
    nullable: true,
    description: 'Cursor of the next page; null on the last page',
    example: null,
  })
  nextCursor: string | null;
}
