import { createHash } from 'node:crypto';

/**
 * A number as its text. A double would round what has more than 17 digits, and a parser in JavaScript that keeps digits
 * (lossless-json) holds up every other request for a second over 10 MB: here the numbers become marked strings, which
 * native JSON.parse reads in a few hundredths of that.
 */
const MARK = '\u0000#';
const MARK_IN_JSON = '\\u0000#';
/** Python writes NaN and Infinity, which no JSON has: read as numbers that are none, they spoil one field and no batch. */
const NUMBER = /-?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Infinity)|NaN/g;

/** A line that is not JSON, of which nothing is kept. */
export class MalformedLine {
  constructor(readonly text: string) {}
}

/** The text of a number that `readElements` has read; undefined for any other value. */
export function numberText(value: unknown): string | undefined {
  return typeof value === 'string' && value.startsWith(MARK) ? value.slice(MARK.length) : undefined;
}

/**
 * The elements of a JSON array, of newline-delimited JSON, or the one object that the text is. Numbers are marked texts;
 * see `numberText`. Empty text has no elements.
 *
 * @returns undefined when nothing in it is JSON
 */
export function readElements(text: string): unknown[] | undefined {
  const body = text.replace(/^\ufeff/, '').trim();
  if (body === '') return [];
  const whole = parseExactly(body);
  if (whole !== undefined) return Array.isArray(whole) ? (whole as unknown[]) : [whole];
  const lines = body.split('\n').filter((line) => line.trim() !== '');
  const elements = lines.map((line) => {
    const element = parseExactly(line);
    return element === undefined ? new MalformedLine(line) : element;
  });
  return elements.every((element) => element instanceof MalformedLine) ? undefined : elements;
}

/** undefined for what is not JSON. The parser's messages repeat pieces of the text, so they go nowhere. */
function parseExactly(text: string): unknown {
  try {
    return JSON.parse(withMarkedNumbers(text));
  } catch {
    return undefined;
  }
}

function withMarkedNumbers(text: string): string {
  const parts: string[] = [];
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at);
    const stringStart = quote === -1 ? text.length : quote;
    const between = text.slice(at, stringStart);
    // Between most strings there is only a colon or a comma.
    const isPlain = between.length < 3 && !/\d/.test(between);
    parts.push(isPlain ? between : between.replace(NUMBER, `"${MARK_IN_JSON}$&"`));
    at = endOfString(text, stringStart);
    parts.push(text.slice(stringStart, at));
  }
  return parts.join('');
}

/** Where the string that begins here is over. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** What tells apart elements that are not understood: SHA-256 of all of one, in hexadecimal. */
export function digestOf(element: unknown): string {
  return createHash('sha256').update(textOf(element)).digest('hex');
}

function textOf(element: unknown): string {
  if (element instanceof MalformedLine) return element.text;
  try {
    return JSON.stringify(element);
  } catch {
    // Nested more deeply than can be written again.
    return '';
  }
}
