import { applyDecorators } from '@nestjs/common';
import { Generated, PrimaryColumn } from 'typeorm';
import { bigintTransformer } from './transformers.js';

/**
 * A BIGINT id that the database gives (GENERATED ALWAYS AS IDENTITY), as a number in code. TypeORM's own decorator for
 * this takes no transformer, and the type of `Generated` does not know the strategy that its code has.
 */
export function IdentityColumn(primaryKeyConstraintName: string): PropertyDecorator {
  return applyDecorators(
    PrimaryColumn({
      type: 'bigint',
      generatedIdentity: 'ALWAYS',
      primaryKeyConstraintName,
      transformer: bigintTransformer,
    }),
    Generated('identity' as 'increment'),
  );
}
