import { describe, expect, it } from 'vitest';
import { ValidationError } from '../errors/service-error.js';
import { refuseLargeJson } from './json-limits.js';

const problemOf = (json: string): string | undefined => {
  try {
    refuseLargeJson(Buffer.from(json));
    return undefined;
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    return (error.details.errors ?? []).map(({ field, message }) => `${field} ${message}`).join();
  }
};
const items = (count: number, item = '0') => Array.from({ length: count }, () => item).join(' ,\n');
const members = (count: number) => Array.from({ length: count }, (_, index) => `"k${index}" : [ ]`).join();
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

const TOO_MANY = 'must have fewer values: a request has at most 500 in all';
const TOO_DEEP = 'must be nested at most 32 deep';

describe('JSON that a request may have', () => {
  it.each([
    ['500 members', `{${members(500)}}`],
    ['a list of 499 items', `{"a":[${items(499)}]}`],
    ['lists in a list', `{"a":[${items(249, '[ 1 ]')}],"b":{}}`],
    ['a text of separators', JSON.stringify({ a: `\\","${'{[,:"\\'.repeat(1000)}`, '\\"': ',' })],
    ['lists nested 32 deep', `{"a":${nested(32)}}`],
    ['many lists beside each other', `{"a":[${items(400, nested(1))}]}`],
    ['nothing', ''],
    ['what is no JSON', ']]}}"'],
  ])('%s', (_name, json) => {
    expect(problemOf(json)).toBeUndefined();
  });
});

describe('JSON that no request may have', () => {
  it.each([
    ['501 members', `{${members(501)}}`, `body ${TOO_MANY}`],
    ['501 items', `[${items(501, '{}')}]`, `body ${TOO_MANY}`],
    ['a list of 500 items', `{"a":1, "list" : [${items(500)}],"b":2}`, `list ${TOO_MANY}`],
    ['lists in a list', `{"a":[${items(250, '[ 1 ]')}]}`, `a ${TOO_MANY}`],
    ['objects in objects', `{"a":[${items(250, '{"b":"c"}')}]}`, `a ${TOO_MANY}`],
    ['a field of no name', `{"":[${items(500)}]}`, `"" ${TOO_MANY}`],
    ['a text before them', `{"\\"a\\\\":[${items(500)}]}`, `\\"a\\\\ ${TOO_MANY}`],
    ['lists nested 33 deep', `{"b":{},"a":${nested(33)}}`, `a ${TOO_DEEP}`],
  ])('%s', (_name, json, problem) => {
    expect(problemOf(json)).toBe(problem);
  });
});

/** Counts how often something is taken out of it. */
class Watched extends Uint8Array {
  copies = 0;

  override subarray(start?: number, end?: number): Uint8Array<ArrayBuffer> {
    this.copies++;
    return new Uint8Array(this.buffer).subarray(start, end);
  }
}

describe('a body that is not refused', () => {
  it.each([
    ['colons after a long name', `{"${' '.repeat(50_000)}"${':'.repeat(49_000)}`],
    ['texts', `{${'""'.repeat(49_900)}`],
  ])('has no name decoded, whatever it has of %s', (_name, json) => {
    const bytes = new Watched(Buffer.from(json));
    refuseLargeJson(bytes);
    expect(bytes.copies).toBe(0);
  });
});
