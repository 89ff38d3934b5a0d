import { Param, type PipeTransform } from '@nestjs/common';
import { ValidationError } from '../errors/service-error.js';
import { accountIdProblem, userIdProblem } from './text.js';

class UserIdPipe implements PipeTransform<unknown, string> {
  constructor(private readonly problemOf: (value: unknown) => string | undefined) {}

  transform(value: unknown): string {
    const problem = this.problemOf(value);
    if (problem !== undefined) throw new ValidationError([{ field: 'userId', message: problem }]);
    return value as string;
  }
}

class RowIdPipe implements PipeTransform<unknown, number> {
  constructor(private readonly field = 'id') {}

  transform(value: unknown): number {
    const id = typeof value === 'string' && /^[1-9]\d{0,15}$/.test(value) ? Number(value) : NaN;
    if (!Number.isSafeInteger(id)) {
      throw new ValidationError([
        { field: this.field, message: 'must be a whole number from 1 to 9007199254740991' },
      ]);
    }
    return id;
  }
}

/** `:userId` of a path. */
export const UserIdParam = () => Param('userId', new UserIdPipe(userIdProblem));

/** `:userId` of a path that shows an account: a user's, or an organisation's by its own id. */
export const AccountIdParam = () => Param('userId', new UserIdPipe(accountIdProblem));

/** `:id` of a path, or another row's id. */
export const IdParam = (name = 'id') => Param(name, new RowIdPipe(name));
