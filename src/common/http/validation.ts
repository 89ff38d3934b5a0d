import {
  type ArgumentMetadata,
  Injectable,
  type ValidationError as ClassValidatorError,
  ValidationPipe,
} from '@nestjs/common';
import { type FieldError, ValidationError } from '../errors/service-error.js';
import { nameOf } from './text.js';
import { withoutNulls } from './validators.js';

/** Checks every body and query against its DTO; unknown fields are refused; errors name the field. */
@Injectable()
export class RequestValidationPipe extends ValidationPipe {
  constructor() {
    super({
      transform: true,
      whitelist: true,
      forbidNonWhitelisted: true,
      forbidUnknownValues: true,
      stopAtFirstError: true,
      validationError: { target: false, value: false },
      exceptionFactory: (errors) => new ValidationError(flatten(errors)),
    });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    // Parts of the path have pipes of their own, which must see the text: this one would make a number of it first.
    if (metadata.type === 'param' || metadata.type === 'custom') return value;
    if (metadata.type === 'query') {
      if (Object.values(value as object).flat().length > MAXIMUM_VALUES) {
        throw new ValidationError([{ field: 'query', message: TOO_MANY_VALUES }]);
      }
      refuseWhatWouldBeDropped(value as object);
      return super.transform(value, metadata) as Promise<unknown>;
    }
    // No body at all is an empty object: what is required is then named field by field.
    const body = value ?? {};
    if (typeof body !== 'object' || Array.isArray(body)) {
      throw new ValidationError([{ field: 'body', message: 'must be a JSON object' }]);
    }
    refuseWhatWouldBeDropped(body);
    return super.transform(withoutNulls(body, metadata.metatype as never), metadata) as Promise<unknown>;
  }
}

/** Keys that mean something to JavaScript; the framework deletes them wherever they stand. */
const DELETED_KEYS = ['__proto__', 'prototype', 'constructor'];
/**
 * Far more than the largest request that is documented: metadata of 256 values. What the transformer does takes
 * microseconds for each value.
 */
export const MAXIMUM_VALUES = 500;
export const TOO_MANY_VALUES = `must have fewer values: a request has at most ${MAXIMUM_VALUES} in all`;

/**
 * Looks at a request before the transformer does, which would drop what every object has (`toString`) without a word.
 *
 * @throws ValidationError
 */
function refuseWhatWouldBeDropped(request: object): void {
  const errors = Object.entries(request).flatMap(([field, value]) => {
    const isDropped = field in Object.prototype || DELETED_KEYS.includes(field);
    const key = isDropped ? undefined : deletedKeyIn(value);
    if (key !== undefined) return [{ field: nameOf(field), message: `must not contain the key "${key}"` }];
    return isDropped ? [{ field: nameOf(field), message: 'is not a known field' }] : [];
  });
  if (errors.length > 0) throw new ValidationError(errors.slice(0, MAXIMUM_ERRORS));
}

function deletedKeyIn(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, item] of Object.entries(value)) {
    const found = DELETED_KEYS.includes(key) ? key : deletedKeyIn(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Deepest nesting of DTOs here is 2; a limit keeps a hostile request's errors short. */
const MAXIMUM_ERRORS = 20;
function flatten(errors: ClassValidatorError[], path = ''): FieldError[] {
  return errors
    .flatMap((error) => {
      const field = path + error.property;
      const own = Object.entries(error.constraints ?? {}).map(([rule, message]) => ({
        field: nameOf(field),
        message: rule === 'whitelistValidation' ? 'is not a known field' : strip(message, error.property),
      }));
      return [...own, ...flatten(error.children ?? [], `${field}.`)];
    })
    .slice(0, MAXIMUM_ERRORS);
}

/** class-validator begins its messages with the field's name, which has a place of its own here. */
function strip(message: string, property: string): string {
  return message.startsWith(`${property} `) ? message.slice(property.length + 1) : message;
}
