import {
  type ArgumentMetadata,
  Injectable,
  type ValidationError as ClassValidatorError,
  ValidationPipe,
} from '@nestjs/common';
import { type FieldError, ValidationError } from '../errors/service-error.js';

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
    if (metadata.type === 'query') return super.transform(value, metadata) as Promise<unknown>;
    // No body at all is an empty object: what is required is then named field by field.
    const body = value ?? {};
    if (typeof body !== 'object' || Array.isArray(body)) {
      throw new ValidationError([{ field: 'body', message: 'must be a JSON object' }]);
    }
    return super.transform(body, metadata) as Promise<unknown>;
  }
}

/** Deepest nesting of DTOs here is 2; a limit keeps a hostile request's errors short. */
const MAXIMUM_ERRORS = 20;

function flatten(errors: ClassValidatorError[], path = ''): FieldError[] {
  return errors
    .flatMap((error) => {
      const field = path + error.property;
      const own = Object.entries(error.constraints ?? {}).map(([rule, message]) => ({
        // A field nobody knows is named as the caller wrote it, but not at any length.
        field: field.slice(0, 100),
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
