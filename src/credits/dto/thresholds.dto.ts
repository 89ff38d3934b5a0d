import { ApiProperty } from '@nestjs/swagger';
import { IntegerField, MAXIMUM_CREDITS } from '../../common/http/validators.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;

export class SetLowThresholdDto {
  @IntegerField(0, MAXIMUM_CREDITS, {
    description: 'Credits, held ones included, at which they are low; 0: never; null: as everyone’s',
    example: 500,
    nullable: true,
  })
  threshold: number | null;
}

export class LowThresholdDto {
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({
    ...CREDITS,
    description: 'Credits, held ones included, at which they are low; 0: never',
    example: 500,
  })
  threshold: number;
  @ApiProperty({ description: 'Whether it is the setting for everyone', example: false }) isDefault: boolean;
}
