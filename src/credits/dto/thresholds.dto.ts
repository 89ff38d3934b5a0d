import { ApiProperty } from '@nestjs/swagger';
import { IntegerField, MAXIMUM_CREDITS } from '../../common/http/validators.js';

const CREDITS = { type: 'integer', format: 'int64', minimum: 0 } as const;

export class SetLowThresholdDto {
  @IntegerField(0, MAXIMUM_CREDITS, {
    description:
      'Credits count as low when available and held credits together are at or below this number. 0: ' +
      'they never do. null: use the default threshold (CREDITS_LOW_THRESHOLD)',
    example: 500,
    nullable: true,
  })
  threshold: number | null;
}

export class LowThresholdDto {
  @ApiProperty({ example: 'alice' }) userId: string;
  @ApiProperty({
    ...CREDITS,
    description:
      'Credits count as low when available and held credits together are at or below this number. 0: ' +
      'they never do',
    example: 500,
  })
  threshold: number;
  @ApiProperty({
    description: 'Whether the account uses the default threshold (CREDITS_LOW_THRESHOLD)',
    example: false,
  })
  isDefault: boolean;
}
