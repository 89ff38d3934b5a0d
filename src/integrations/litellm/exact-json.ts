import { createHash } from 'node:crypto';
import { setImmediate as others } from 'node:timers/promises';

/**
 * A number as its text. A double would round what has more than 17 digits, and a parser in JavaScript that keeps digits
 * (lossless-json) holds up every other request for a second over 10 MB: here the numbers become marked strings, which
 * native JSON.parse reads in a few hundredths of that.
 */
const MARK = '\u0000#';
const MARK_IN_JSON = '\\u0000#';
/** Python writes NaN and Infinity, which no JSON has: read as numbers that are none, they spoil one field and no batch. */
const NUMBER = /-?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Infinity)|NaN/g;

/** So much is done at once, before other requests have their turn: a few milliseconds. */
const CHARACTERS_AT_ONCE = 128 * 1024;
const ITEMS_AT_ONCE = 200;

/** Does something with each item; other requests have their turn again and again. */
export async function withEach<Item>(items: Item[], work: (item: Item) => void): Promise<void> {
  for (let at = 0; at < items.length; at += ITEMS_AT_ONCE) {
    if (at > 0) await others();
    items.slice(at, at + ITEMS_AT_ONCE).forEach(work);
  }
}

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
 * see `numberText`. Empty text has no elements. Large ones are read piece by piece; other requests have their turn between.
 *
 * @returns undefined when nothing in it is JSON
 */
export async function readElements(text: string): Promise<unknown[] | undefined> {
  const body = text.replace(/^\ufeff/, '').trim();
  if (body === '') return [];
  const list = body.startsWith('[') ? await readList(body) : undefined;
  if (list !== undefined) return list;
  const lines = body.split('\n').filter((line) => line.trim() !== '');
  // The first line of one object over several lines is nothing by itself.
  const areObjects = lines.length > 1 && parseExactly(lines[0] as string) !== undefined;
  const whole = areObjects || body.startsWith('[') ? undefined : parseExactly(body);
  if (whole !== undefined) return [whole];
  const elements: unknown[] = [];
  await withEach(lines, (line) => {
    const element = parseExactly(line);
    elements.push(element === undefined ? new MalformedLine(line) : element);
  });
  return elements.every((element) => element instanceof MalformedLine) ? undefined : elements;
}

/** The elements of a text that is one JSON array; undefined for any other. */
async function readList(text: string): Promise<unknown[] | undefined> {
  const elements: unknown[] = [];
  let [start, depth] = [1, 0];
  const read = (end: number): boolean => {
    const piece = parseExactly(`[${text.slice(start, end)}]`) as unknown[] | undefined;
    // Only an array that is empty has nothing before its end.
    if (piece === undefined || (piece.length === 0 && (start > 1 || text[end] === ','))) return false;
    for (const element of piece) elements.push(element);
    start = end + 1;
    return true;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') at = endOfString(text, at) - 1;
    else if (character === '[' || character === '{') depth++;
    else if (character === ']' || character === '}') {
      if (--depth === 0) return at === text.length - 1 && read(at) ? elements : undefined;
    } else if (character === ',' && depth === 1 && at - start >= CHARACTERS_AT_ONCE) {
      if (!read(at)) return undefined;
      await others();
    }
  }
  return undefined;
}

/** undefined for what is not JSON. The parser's messages repeat pieces of the text, so they go nowhere. */
export function parseExactly(text: string): unknown {
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

/** What distinguishes elements that are not understood: SHA-256 of all of one, in hexadecimal. */
export function digestOf(element: unknown): string {
  return createHash('sha256').update(textOf(element)).digest('hex');
}

function textOf(element: unknown): string {
  if (element instanceof MalformedLine) return element.text;
  try {
    return JSON.stringify(element);
  } catch {
    return flatTextOf(element);
  }
}

/** All of an element that is nested more deeply than JSON.stringify can follow; no two elements have the same text. */
function flatTextOf(element: unknown): string {
  const parts: string[] = [];
  const waiting = [element];
  while (waiting.length > 0) {
    const value = waiting.pop();
    const isBranch = typeof value === 'object' && value !== null;
    const names = isBranch ? Object.keys(value) : [];
    if (!isBranch) parts.push(JSON.stringify(value));
    else if (Array.isArray(value)) parts.push(`[${value.length}]`);
    else parts.push(`{${JSON.stringify(names)}}`);
    for (const name of names) waiting.push((value as Record<string, unknown>)[name]);
  }
  return parts.join(',');
}
