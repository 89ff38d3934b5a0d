import { ValidationError } from '../errors/service-error.js';
import { MAXIMUM_VALUES, nameOf, TOO_MANY_VALUES } from './validation.js';

/** Far deeper than anything documented, and far from what would exhaust the stack of later recursion. */
const MAXIMUM_DEPTH = 32;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [LIST, END_OF_LIST, OBJECT, END_OF_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const BLANK = 0x20;

/**
 * Refuses a body of more values, or nested deeper, than a request may have, by its bytes alone: 100 kB of `{},` would
 * become 2 MB of objects. Whether it is JSON at all is the parser's to find out.
 *
 * @throws ValidationError
 */
export function refuseLargeJson(json: Uint8Array): void {
  let [depth, values, text, field] = [0, 0, '', 'body'];
  /** Whether a list or an object has just begun: what comes next is its first value, or its end. */
  let hasBegun = false;
  for (let index = 0; index < json.length; index++) {
    const byte = json[index] as number;
    if (byte <= BLANK) continue;
    const isEnd = byte === END_OF_LIST || byte === END_OF_OBJECT;
    if (byte === COMMA || (hasBegun && !isEnd)) values++;
    if (values > MAXIMUM_VALUES) throw problemOf(depth === 1 ? 'body' : field, TOO_MANY_VALUES);
    hasBegun = byte === LIST || byte === OBJECT;
    if (hasBegun) depth++;
    else if (isEnd) depth--;
    else if (byte === QUOTE) {
      const start = index + 1;
      index = endOfText(json, start);
      if (depth === 1) text = Buffer.from(json.subarray(start, index)).toString();
    } else if (byte === COLON && depth === 1) field = nameOf(text);
    // The body itself is one more.
    if (depth > MAXIMUM_DEPTH + 1) throw problemOf(field, `must be nested at most ${MAXIMUM_DEPTH} deep`);
  }
}

/** Where the quotation mark is that ends a text. */
function endOfText(json: Uint8Array, start: number): number {
  let index = start;
  while (index < json.length && json[index] !== QUOTE) index += json[index] === BACKSLASH ? 2 : 1;
  return index;
}

function problemOf(field: string, message: string): ValidationError {
  return new ValidationError([{ field, message }]);
}
