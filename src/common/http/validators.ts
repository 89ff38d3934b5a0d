import { applyDecorators } from '@nestjs/common';
import { ApiExtension, ApiProperty, type ApiPropertyOptions } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import { ValidateBy, ValidateIf, ValidateNested } from 'class-validator';
import { Decimal } from '../money/decimal.js';
import { fieldsOf, type Form, FORMS } from './openapi-schemas.js';
import {
  accountIdProblem,
  ID_PATTERN,
  idProblem,
  isStorable,
  nameOf,
  pathIdProblem,
  USER_ID_LENGTH,
  userIdProblem,
} from './text.js';

/** Largest number of tokens in one call. */
export const MAXIMUM_TOKENS = 1_000_000_000;
/** Largest number of credits in one allocation, deduction or record. */
export const MAXIMUM_CREDITS = 1_000_000_000_000;
/** Longest id of a session, an operation or a model. */
export const ID_LENGTH = 100;
export const SESSION_ID_LENGTH = ID_LENGTH;
export const MODEL_ID_LENGTH = ID_LENGTH;
const METADATA_BYTES = 16_384;
const METADATA_DEPTH = 8;
/** Values in lists and objects, whatever their depth: structure costs those who read it far more than its bytes. */
const METADATA_VALUES = 256;
/** PostgreSQL writes a number without its exponent: 1e308 has 309 digits whenever it is read. */
const METADATA_NUMBER = 1e21;

interface FieldOptions {
  description: string;
  example?: unknown;
  required?: boolean;
  /** Whether null is a value here: none, or unknown. */
  nullable?: boolean;
  /** Whether a field that is not always required is, given the others. */
  isNeeded?: (owner: never) => boolean;
}

type Problem = string | undefined;

/** A rule made of a function that says what is wrong with a value. */
function Rule(name: string, problem: (value: unknown, owner: object) => Problem): PropertyDecorator {
  return ValidateBy({
    name,
    validator: {
      validate: (value, args) => problem(value, args?.object ?? {}) === undefined,
      defaultMessage: (args) => problem(args?.value, args?.object ?? {}) ?? 'is not valid',
    },
  });
}

/** Fields of a DTO that may be left out and have no meaning for null. */
const leftOutByNull = new WeakMap<object, Set<string>>();

function LeftOutByNull(owner: object, name: string | symbol): void {
  leftOutByNull.set(owner, (leftOutByNull.get(owner) ?? new Set()).add(String(name)));
}

/** Those of a type and of what it extends. */
function namesLeftOut(type: (new () => object) | undefined): string[] {
  const names: string[] = [];
  for (
    let owner = type?.prototype as object | null;
    owner;
    owner = Object.getPrototypeOf(owner) as object | null
  )
    names.push(...(leftOutByNull.get(owner) ?? []));
  return names;
}

/** The body without the nulls that mean the same as leaving the field out. */
export function withoutNulls(body: object, type: (new () => object) | undefined): object {
  const names = namesLeftOut(type);
  if (names.length === 0) return body;
  return Object.fromEntries(
    Object.entries(body).filter(([name, value]) => value !== null || !names.includes(name)),
  );
}

/** The same for an object inside the body. */
function dropNulls(item: unknown, type: new () => object): void {
  if (typeof item !== 'object' || item === null) return;
  for (const name of namesLeftOut(type))
    if ((item as Record<string, unknown>)[name] === null) delete (item as Record<string, unknown>)[name];
}

/** Optional means: may be left out, or null. Where null is a value of its own, the field says so (`nullable`). */
function Field(
  options: FieldOptions,
  schema: ApiPropertyOptions,
  ...rules: PropertyDecorator[]
): PropertyDecorator {
  const required = options.required ?? true;
  // Clients that are generated for Java send an empty list or object in place of one that is not set and cannot be null.
  const hasParts = schema.type === 'array' || schema.isArray === true || 'additionalProperties' in schema;
  const mayBeNull = options.nullable === true || (!required && hasParts);
  return applyDecorators(
    ApiProperty({
      ...schema,
      required,
      description: options.description,
      example: options.example,
      ...(mayBeNull ? { nullable: true } : {}),
    } as ApiPropertyOptions),
    ...(required && !options.nullable
      ? []
      : [
          ValidateIf(
            (owner, value) => isPresent(value, options) || (options.isNeeded?.(owner as never) ?? false),
          ),
        ]),
    ...(required || options.nullable ? [] : [LeftOutByNull]),
    ...rules,
  );
}

function isPresent(value: unknown, { required = true, nullable = false }: FieldOptions): boolean {
  return (required || value !== undefined) && (!nullable || value !== null);
}

/** A whole number as JSON number, never a string, within limits. */
export function IntegerField(minimum: number, maximum: number, options: FieldOptions & { default?: number }) {
  return Field(
    options,
    {
      type: 'integer',
      format: 'int64',
      minimum,
      maximum,
      ...(options.default === undefined ? {} : { default: options.default }),
    },
    Rule('integer', (value) => integerProblem(value, minimum, maximum)),
  );
}

function integerProblem(value: unknown, minimum: number, maximum: number): Problem {
  return typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= maximum
    ? undefined
    : `must be a whole number from ${minimum} to ${maximum}`;
}

/** The same for a query parameter, which arrives as text. */
export function IntegerQuery(minimum: number, maximum: number, options: FieldOptions & { default?: number }) {
  return applyDecorators(
    IntegerField(minimum, maximum, { ...options, required: false }),
    Transform(({ value }: { value: unknown }) =>
      // `-0` is no integer in JSON's sense, and would be a number that is equal to 0 and is not 0.
      typeof value === 'string' && /^(?!-0+$)-?\d{1,15}$/.test(value) ? Number(value) : value,
    ),
  );
}

/** Token counts by class, as most bodies call them. */
export const TOKENS_BY_CLASS: Form = {
  required: ['inputTokens', 'outputTokens'],
  optional: ['cachedInputTokens'],
};

/**
 * A count of all tokens, in place of which the body may have counts by class.
 *
 * @param others further forms that a body may have instead; their own fields refuse what does not go with them
 */
export function WholeTokensField(
  options: FieldOptions,
  byClass: Form = TOKENS_BY_CLASS,
  ...others: Form[]
): PropertyDecorator {
  const problem = (value: unknown, owner: object): Problem => {
    const isGiven = (name: string) => (owner as Record<string, unknown>)[name] !== undefined;
    if (others.flatMap(fieldsOf).some(isGiven)) return undefined;
    if (value !== undefined)
      return fieldsOf(byClass).some(isGiven) ? 'cannot be given together with token classes' : undefined;
    return byClass.required.every(isGiven) ? undefined : `is required, or ${byClass.required.join(' and ')}`;
  };
  const field = applyDecorators(
    ApiProperty({
      type: 'integer',
      format: 'int64',
      minimum: 0,
      maximum: MAXIMUM_TOKENS,
      required: false,
      description: options.description,
      example: options.example,
    }),
    LeftOutByNull,
    // It sees the whole body, also when this field is left out.
    Rule(
      'wholeTokens',
      (value, owner) =>
        (value === undefined ? undefined : integerProblem(value, 0, MAXIMUM_TOKENS)) ?? problem(value, owner),
    ),
  );
  return (owner, name) => {
    ApiExtension(FORMS, [{ required: [name] }, byClass, ...others])(owner.constructor);
    field(owner, name);
  };
}

export function TokensField(options: FieldOptions & { minimum?: number }) {
  return IntegerField(options.minimum ?? 0, MAXIMUM_TOKENS, options);
}

const idOf = (maxLength: number) =>
  ({ type: 'string', minLength: 1, maxLength, pattern: ID_PATTERN }) as const;

/** @param options.inPath a path has it too */
export function IdField(
  maximumLength: number,
  { inPath = false, ...options }: FieldOptions & { default?: string; inPath?: boolean },
) {
  return Field(
    options,
    {
      ...idOf(maximumLength),
      ...(options.default === undefined ? {} : { default: options.default }),
    },
    Rule('id', (value) => (inPath ? pathIdProblem : idProblem)(value, maximumLength)),
  );
}

export function UserIdField(options: Partial<FieldOptions> = {}) {
  return Field(
    { description: 'The user', example: 'alice', ...options },
    idOf(USER_ID_LENGTH),
    Rule('userId', userIdProblem),
  );
}

/** The user a trusted service acts for when it forwards no token. Without an example: users leave it out. */
export function OnBehalfField() {
  return UserIdField({
    description: 'The user to act for; required from a trusted service that does not forward a user’s token',
    required: false,
    example: undefined,
  });
}

/** The account that pays: left out, the user's own. */
export function PayerField() {
  return AccountField({
    description:
      'The account that pays: an organisation of the user; if omitted, the user’s personal account',
    required: false,
  });
}

export function AccountField(options: FieldOptions) {
  return Field(options, idOf(USER_ID_LENGTH), Rule('accountId', accountIdProblem));
}

/** Free text, which may have line breaks. */
export function TextField(maximumLength: number, options: FieldOptions & { minimumLength?: number }) {
  const minimumLength = options.minimumLength ?? 0;
  return Field(
    options,
    { type: 'string', minLength: minimumLength, maxLength: maximumLength },
    Rule('text', (value) => {
      if (typeof value !== 'string') return 'must be a string';
      if (value.length < minimumLength) return 'must not be empty';
      if (value.length > maximumLength) return `must have at most ${maximumLength} characters`;
      return isStorable(value) ? undefined : 'must not contain NUL or broken characters';
    }),
  );
}

export function EmailField(options: FieldOptions) {
  return Field(
    options,
    { type: 'string', format: 'email', minLength: 3, maxLength: 255 },
    Rule(
      'email',
      (value) =>
        idProblem(value, 255) ??
        (/^[^\s@]+@[^\s@]+$/.test(value as string) ? undefined : 'must be an e-mail address'),
    ),
  );
}

export function BooleanField(options: FieldOptions & { default?: boolean }) {
  return Field(
    options,
    { type: 'boolean', ...(options.default === undefined ? {} : { default: options.default }) },
    Rule('boolean', (value) => (typeof value === 'boolean' ? undefined : 'must be true or false')),
  );
}

/** The same for a query parameter, which arrives as text. */
export function BooleanQuery(options: FieldOptions & { default: boolean }) {
  return applyDecorators(
    BooleanField({ ...options, required: false }),
    Transform(({ value }: { value: unknown }) =>
      value === 'true' ? true : value === 'false' ? false : value,
    ),
  );
}

/** @param name of the type in the document, the same wherever these values are */
export function EnumField<Value extends string>(
  name: string,
  allowed: readonly Value[],
  options: FieldOptions & { default?: Value },
) {
  return Field(
    options,
    {
      enum: [...allowed],
      enumName: name,
      ...(options.default === undefined ? {} : { default: options.default }),
    },
    Rule('enum', (value) =>
      allowed.includes(value as Value) ? undefined : `must be one of ${allowed.join(', ')}`,
    ),
  );
}

/** A list of different whole numbers. */
export function IntegerListField(
  minimum: number,
  maximum: number,
  maximumItems: number,
  options: FieldOptions,
) {
  const problem = `must be a list of at most ${maximumItems} different whole numbers from ${minimum} to ${maximum}`;
  return Field(
    options,
    {
      type: 'array',
      items: { type: 'integer', minimum, maximum },
      uniqueItems: true,
      maxItems: maximumItems,
    },
    Rule('integerList', (value) =>
      Array.isArray(value) &&
      value.length <= maximumItems &&
      new Set(value).size === value.length &&
      value.every((item) => integerProblem(item, minimum, maximum) === undefined)
        ? undefined
        : problem,
    ),
  );
}

/** A list of different values out of a few. @param name as for EnumField */
export function EnumListField<Value extends string>(
  name: string,
  allowed: readonly Value[],
  options: FieldOptions & { minimumItems?: number },
) {
  const problem = `must be a list without duplicates of ${allowed.join(', ')}`;
  return Field(
    options,
    {
      isArray: true,
      enum: [...allowed],
      enumName: name,
      uniqueItems: true,
      ...(options.minimumItems === undefined ? {} : { minItems: options.minimumItems }),
      maxItems: allowed.length,
    },
    Rule('enumList', (value) => {
      if (!Array.isArray(value) || new Set(value).size !== value.length) return problem;
      if (value.length < (options.minimumItems ?? 0)) return 'must not be empty';
      return value.every((item) => allowed.includes(item as Value)) ? undefined : problem;
    }),
  );
}

/**
 * An object of whole numbers by names out of a few, at least one.
 *
 * @param type that describes it in the document
 * @param insteadOf fields that say the same in another way
 */
export function CountsField(
  type: new () => object,
  names: readonly string[],
  insteadOf: string[],
  options: FieldOptions,
) {
  return Field(
    options,
    { type: () => type },
    Type(() => Boolean),
    Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => obj[key]),
    Rule('counts', (value, owner) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be a JSON object';
      const entries = Object.entries(value);
      if (entries.length === 0) return 'must not be empty';
      for (const [name, count] of entries) {
        if (!names.includes(name))
          return `must not contain ${nameOf(name)}: the names are ${names.join(', ')}`;
        const problem = integerProblem(count, 0, MAXIMUM_TOKENS);
        if (problem !== undefined) return `${name} ${problem}`;
      }
      const twice = insteadOf.find((field) => (owner as Record<string, unknown>)[field] !== undefined);
      return twice === undefined ? undefined : `cannot be given together with ${twice}`;
    }),
  );
}

/** Describes each name of such an object. */
export function describeCounts(type: new () => object, names: readonly string[]): void {
  for (const name of names)
    ApiProperty({ type: 'integer', format: 'int64', minimum: 0, maximum: MAXIMUM_TOKENS, required: false })(
      type.prototype as object,
      name,
    );
}

const EmptyLeftOut = () =>
  Transform(({ value }: { value: unknown }) =>
    Array.isArray(value) && value.length === 0 ? undefined : value,
  );

/** A list of objects of one type. An empty one counts as left out, as for IdListField. */
export function ListField(type: new () => object, maximumItems: number, options: FieldOptions) {
  const isObject = (item: unknown) => typeof item === 'object' && item !== null && !Array.isArray(item);
  return Field(
    options,
    { type: () => type, isArray: true, maxItems: maximumItems },
    EmptyLeftOut(),
    Rule('list', (value) =>
      Array.isArray(value) && value.length <= maximumItems && value.every(isObject)
        ? undefined
        : `must be a list of at most ${maximumItems} objects`,
    ),
    ValidateNested(),
    Type(() => type),
    Transform(({ value }: { value: unknown }) => {
      for (const item of Array.isArray(value) ? value : []) dropNulls(item, type);
      return value;
    }),
  );
}

/** A list of different ids. An empty one counts as left out: generated clients send it for a field that is not set. */
export function IdListField(maximumItems: number, maximumLength: number, options: FieldOptions) {
  return Field(
    options,
    {
      type: 'array',
      items: idOf(maximumLength),
      uniqueItems: true,
      maxItems: maximumItems,
    },
    EmptyLeftOut(),
    Rule('idList', (value) => {
      if (!Array.isArray(value) || value.length > maximumItems) {
        return `must be a list of at most ${maximumItems} ids`;
      }
      if (new Set(value).size !== value.length) return 'must not contain duplicates';
      return value.map((item) => idProblem(item, maximumLength)).find((problem) => problem !== undefined);
    }),
  );
}

/** Digits that every JSON number keeps; with more of them it may have been rounded to a double. */
const EXACT_DIGITS = 15;

/** A JSON number as the text that it was sent as, if it is one that cannot have been rounded. */
function decimalText(value: unknown): unknown {
  if (typeof value !== 'number' || !Number.isFinite(value)) return value;
  const digits = value.toExponential().replace(/e.*|\D/g, '');
  return digits.length <= EXACT_DIGITS ? (Decimal.parse(String(value))?.toString() ?? value) : value;
}

/** An exact decimal: as text, or as a JSON number of so few digits that it is exact too. */
export function DecimalField(
  options: FieldOptions & { maximum: string; integerDigits: number; inQuery?: boolean },
) {
  const pattern = new RegExp(`^\\d{1,${options.integerDigits}}(\\.\\d{1,18})?$`);
  const text = { type: 'string', pattern: pattern.source, maxLength: options.integerDigits + 19 } as const;
  return Field(
    options,
    options.inQuery
      ? text
      : { oneOf: [text, { type: 'number', minimum: 0, maximum: Number(options.maximum) }] },
    Transform(({ value }: { value: unknown }) => decimalText(value)),
    Rule('decimal', (value) => {
      if (typeof value !== 'string' || !pattern.test(value)) {
        return `must be a decimal number, for example "0.25", without a sign and with at most 18 decimals; a JSON number may have at most ${EXACT_DIGITS} digits`;
      }
      return isAtMost(value, options.maximum) ? undefined : `must be at most ${options.maximum}`;
    }),
  );
}

/** Compares a decimal of the pattern above with a whole number, without rounding. */
function isAtMost(value: string, maximum: string): boolean {
  const [whole = '0', fraction = ''] = value.split('.');
  const difference = BigInt(whole) - BigInt(maximum);
  return difference < 0n || (difference === 0n && /^0*$/.test(fraction));
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;
/** In a query, where a time may be empty. Years and days that do not exist are refused, too. */
const DAY_OR_TIME =
  '^(\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,9})?)?(Z|[+-]\\d{2}:\\d{2})?)?)?$';
const WITHOUT_ZONE = /^\d{4}-\d{2}-\d{2}T[\d:.]+$/;

/** Why a value is no point in time (ISO 8601 with a zone, years 1970 to 9999), or undefined when it is. */
export function timeProblem(value: unknown, allowDate: boolean): Problem {
  const form = allowDate ? 'a date (2026-11-21) or a time' : 'a time';
  const problem = `must be ${form}, for example 2026-11-21T12:00:00Z`;
  if (typeof value !== 'string') return problem;
  const isDate = DATE.test(value);
  if (!(isDate && allowDate) && !DATE_TIME.test(value)) return problem;
  const time = new Date(value);
  // new Date('2026-02-30') rolls over to March; a date that changes is none.
  if (Number.isNaN(time.getTime()) || !isRealDay(value.slice(0, 10))) return problem;
  const year = time.getUTCFullYear();
  return year >= 1970 && year <= 9999 ? undefined : 'must be between the years 1970 and 9999';
}

function isRealDay(day: string): boolean {
  const time = new Date(`${day}T00:00:00Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(day);
}

/** A time without a zone is UTC. */
function timeText(value: unknown): unknown {
  return typeof value === 'string' && WITHOUT_ZONE.test(value) ? `${value}Z` : value;
}

/** @param options.inQuery an empty time counts as left out */
export function TimeField(
  options: FieldOptions & { allowDate?: boolean; inQuery?: boolean; problem?: (time: string) => Problem },
) {
  return Field(
    options,
    {
      type: 'string',
      ...(options.allowDate ? { pattern: DAY_OR_TIME } : { format: 'date-time' }),
      maxLength: 40,
    },
    Transform(({ value }: { value: unknown }) =>
      value === '' && options.inQuery ? undefined : timeText(value),
    ),
    Rule(
      'time',
      (value) => timeProblem(value, options.allowDate ?? false) ?? options.problem?.(value as string),
    ),
  );
}

/** A JSON object of the caller's own, kept as it came: at most 16 kB, 256 values and 8 levels. */
export function MetadataField(options: FieldOptions) {
  return Field(
    options,
    { type: 'object', additionalProperties: true },
    // The transformer would rebuild the object and lose keys. For a Boolean it does not, and what the caller sent is kept.
    Type(() => Boolean),
    Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => obj[key]),
    Rule('metadata', metadataProblem),
  );
}

const MAXIMUM_TAGS = 10;
const TAG_NAME = /^[A-Za-z0-9_.-]{1,50}$/;
const TAG_LENGTH = 100;

/** What a call is for, by which it can be limited and reported. As SQL's `is_tags`. */
export function TagsField() {
  return Field(
    {
      description:
        'What the call is for: at most 10 names of letters, digits and `_.-`, each with a text of at most 100 ' +
        'characters. Budgets can be made for a tag',
      required: false,
    },
    {
      type: 'object',
      additionalProperties: { type: 'string', minLength: 1, maxLength: TAG_LENGTH },
      maxProperties: MAXIMUM_TAGS,
      example: { feature: 'search' },
    },
    Type(() => Boolean),
    Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => obj[key]),
    Rule('tags', tagsProblem),
  );
}

/** Of a tag in one text: its name, `=` and what it says. */
export function tagProblem(tag: unknown): Problem {
  const [, name = '', text] = /^([^=]*)=([^]*)$/.exec(String(tag)) ?? [];
  const isTag = TAG_NAME.test(name) && idProblem(text, TAG_LENGTH) === undefined;
  return isTag ? undefined : 'must be a tag such as feature=search';
}

/** The name of a tag, such as `feature`. */
export function TagNameField(options: FieldOptions) {
  return Field(
    options,
    { type: 'string', pattern: TAG_NAME.source },
    Rule('tagName', (value) =>
      typeof value === 'string' && TAG_NAME.test(value)
        ? undefined
        : 'must be 1 to 50 letters, digits and _.-',
    ),
  );
}

function tagsProblem(value: unknown): Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be a JSON object';
  const tags = Object.entries(value);
  if (tags.length > MAXIMUM_TAGS) return `must have at most ${MAXIMUM_TAGS} tags`;
  for (const [name, text] of tags) {
    if (!TAG_NAME.test(name)) return 'must have names of 1 to 50 letters, digits and _.-';
    const problem = idProblem(text, TAG_LENGTH);
    if (problem !== undefined) return `${name} ${problem}`;
  }
  return undefined;
}

function metadataProblem(value: unknown): Problem {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be a JSON object';
  const problem = jsonProblem(value, METADATA_DEPTH, { left: METADATA_VALUES });
  if (problem !== undefined) return problem;
  return Buffer.byteLength(JSON.stringify(value)) <= METADATA_BYTES
    ? undefined
    : `must be at most ${METADATA_BYTES} bytes`;
}

function jsonProblem(value: unknown, depth: number, room: { left: number }): Problem {
  if (typeof value === 'string') return isStorable(value) ? undefined : METADATA_TEXT_PROBLEM;
  if (typeof value === 'number') return isShortNumber(value) ? undefined : METADATA_NUMBER_PROBLEM;
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth === 0) return `must be nested at most ${METADATA_DEPTH} deep`;
  for (const [key, item] of Object.entries(value)) {
    if (room.left-- === 0) return `must have at most ${METADATA_VALUES} values in all`;
    const problem = isStorable(key) ? jsonProblem(item, depth - 1, room) : METADATA_TEXT_PROBLEM;
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const METADATA_TEXT_PROBLEM = 'must not contain NUL or broken characters';
const METADATA_NUMBER_PROBLEM = 'must not contain numbers of 1e21 or more, or numbers closer to 0 than 1e-21';

/** JSON has no infinite number, but 1e400 is read as one. */
function isShortNumber(value: number): boolean {
  const size = Math.abs(value);
  return size === 0 || (size >= 1 / METADATA_NUMBER && size < METADATA_NUMBER);
}

/** Marks a field that another field makes needless or forbidden; the rule sees the whole object. */
export function Together(name: string, problem: (owner: never) => Problem): PropertyDecorator {
  return Rule(name, (_, owner) => problem(owner as never));
}

/** The body must have `field` too. */
export const NeedsField = (field: string) =>
  Together(`with${field}`, (request: Record<string, unknown>) =>
    request[field] === undefined ? `must be given together with ${field}` : undefined,
  );

/** The body must have none of `others`. @param name of the rule */
export const NeverWith = (name: string, others: readonly string[]) =>
  Together(`${name}Alone`, (request: Record<string, unknown>) => {
    const other = others.find((field) => request[field] !== undefined);
    return other === undefined ? undefined : `cannot be given together with ${other}`;
  });
