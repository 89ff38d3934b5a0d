import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { ValidateBy, ValidateIf } from 'class-validator';
import { PageQueryDto } from '../../common/http/page.js';
import { AccountField, UserIdField } from '../../common/http/validators.js';
import { EVENT_TYPES, type EventType } from '../event-types.js';

const TYPES_LENGTH = EVENT_TYPES.join(',').length;
const TYPES_PROBLEM = `must be a comma-separated list without duplicates of ${EVENT_TYPES.join(', ')}`;

/** `?types=a,b`, as a list. */
function TypesQuery() {
  const one = EVENT_TYPES.map((type) => type.replace('.', '\\.')).join('|');
  return applyDecorators(
    ApiProperty({
      type: 'string',
      required: false,
      maxLength: TYPES_LENGTH,
      pattern: `^(${one})(,(${one}))*$`,
      description: 'Comma-separated event types; all types if omitted',
      example: 'credits.low,credits.exhausted',
    }),
    Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.split(',') : value)),
    ValidateIf((_, value) => value !== undefined),
    ValidateBy({
      name: 'types',
      validator: {
        validate: (value) =>
          Array.isArray(value) &&
          value.every((type) => EVENT_TYPES.includes(type as EventType)) &&
          new Set(value).size === value.length,
        defaultMessage: () => TYPES_PROBLEM,
      },
    }),
  );
}

const USER = {
  description:
    'Only events of this user. Supervisors and admins may name any user, other users only themselves',
  required: false,
};

const ACCOUNT = {
  description: 'Only events of this account: a user’s, or an organisation’s',
  required: false,
};

/** Which events are asked for. */
export class EventFilterQueryDto {
  @TypesQuery()
  types?: EventType[];

  @UserIdField(USER)
  userId?: string;

  @AccountField(ACCOUNT)
  accountId?: string;
}

export class EventsQueryDto extends PageQueryDto implements EventFilterQueryDto {
  @TypesQuery()
  types?: EventType[];

  @UserIdField(USER)
  userId?: string;

  @AccountField(ACCOUNT)
  accountId?: string;
}
