import { ValidationError } from '../errors/service-error.js';
import { nameOf } from './text.js';
import { MAXIMUM_VALUES, TOO_MANY_VALUES } from './validation.js';

/** Far deeper than anything documented, and far from what would exhaust the stack of later recursion. */
const MAXIMUM_DEPTH = 32;
const TOO_DEEP = `must be nested at most ${MAXIMUM_DEPTH} deep`;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [LIST, END_OF_LIST, OBJECT, END_OF_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const BLANK = 0x20;

/** Bytes of a body, without the one at the end. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

/**
 * Refuses a body of more values, or nested deeper, than a request may have, by its bytes alone: 100 kB of `{},` would
 * become 2 MB of objects. Whether it is JSON at all is the parser's to find out.
 *
 * @throws ValidationError
 */
export function refuseLargeJson(json: Uint8Array, maximumValues = MAXIMUM_VALUES): void {
  let [depth, values] = [0, 0];
  /** Where the last text at the top and the name of the last field lie; they are decoded for a refusal only. */
  let text: Stretch | undefined;
  let field: Stretch | undefined;
  /** Whether a list or an object has just begun: what comes next is its first value, or its end. */
  let hasBegun = false;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index] as number;
    if (byte <= BLANK) continue;
    const isEnd = byte === END_OF_LIST || byte === END_OF_OBJECT;
    if (byte === COMMA || (hasBegun && !isEnd)) values++;
    if (values > maximumValues) throw problemOf(json, depth === 1 ? undefined : field, TOO_MANY_VALUES);
    hasBegun = byte === LIST || byte === OBJECT;
    if (hasBegun) depth++;
    else if (isEnd) depth--;
    else if (byte === QUOTE) {
      const start = index + 1;
      index = endOfText(json, start);
      if (depth === 1) text = { start, end: index };
    } else if (byte === COLON && depth === 1) field = text;
    // The body itself is one more.
    if (depth > MAXIMUM_DEPTH + 1) throw problemOf(json, field, TOO_DEEP);
  }
}

/** Where the quotation mark is that ends a text. */
function endOfText(json: Uint8Array, start: number): number {
  let index = start;
  while (index < json.length && json[index] !== QUOTE) index += json[index] === BACKSLASH ? 2 : 1;
  return index;
}

/** @param name undefined: of the body as a whole */
function problemOf(json: Uint8Array, name: Stretch | undefined, message: string): ValidationError {
  const field =
    name === undefined ? 'body' : nameOf(Buffer.from(json.subarray(name.start, name.end)).toString());
  return new ValidationError([{ field, message }]);
}
