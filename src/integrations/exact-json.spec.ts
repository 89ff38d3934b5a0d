import { describe, expect, it } from 'vitest';
import { digestOf, MalformedLine, numberText, readElements } from './exact-json.js';

/** The elements with every number as `{ number: text }`. */
function read(text: string): unknown {
  return plain(readElements(text));
}

function plain(value: unknown): unknown {
  const number = numberText(value);
  if (number !== undefined) return { number };
  if (value instanceof MalformedLine) return 'malformed';
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

describe('the form of a body', () => {
  it.each<[what: string, text: string, elements: unknown]>([
    ['nothing', '', []],
    ['blanks', ' \r\n\t', []],
    ['an empty array', '[]', []],
    ['an array with null', '[null,{"a":"b"}]', [null, { a: 'b' }]],
    ['one object', '{"a":true}', [{ a: true }]],
    ['one object over several lines', '{\n "a":\n true\n}', [{ a: true }]],
    ['lines', '{"a":"1"}\n{"a":"2"}', [{ a: '1' }, { a: '2' }]],
    ['lines that end with CR LF, and an empty one', '{"a":"1"}\r\n\r\nnull\r\n', [{ a: '1' }, null]],
    ['lines of which one is broken', '{"a":"1"}\n{"a":\n{"a":"3"}', [{ a: '1' }, 'malformed', { a: '3' }]],
    ['lines with a list among them', '{"a":"1"}\n["b"]', [{ a: '1' }, ['b']]],
    ['a byte order mark', '\ufeff[{}]', [{}]],
    ['a text', '"text"', ['text']],
  ])('is read: %s', (_, text, elements) => {
    expect(read(text)).toEqual(elements);
  });

  it.each(['{', '[{"a":1},', 'not json', '{"a":"b}', "{'a':1}", '[1,2', '}{'])(
    'is none when nothing in it is JSON: %s',
    (text) => {
      expect(readElements(text)).toBeUndefined();
    },
  );

  it('may be nested as deeply as 10 MB allow', () => {
    const depth = 1_000_000;
    expect(readElements(`[{"a":"b"},${'['.repeat(depth)}${']'.repeat(depth)}]`)).toHaveLength(2);
  });
});

describe('a number', () => {
  it.each([
    '0',
    '-0',
    '10',
    '4.499999999999999e-06',
    '0.1234567890123456789012345',
    '123456789012345678901234567890',
    '1E400',
    '-1.5e+3',
    'NaN',
    'Infinity',
    '-Infinity',
  ])('%s is kept as it was written', (number) => {
    expect(read(`[{"a":${number},"b":[${number}, ${number}]}]`)).toEqual([
      { a: { number }, b: [{ number }, { number }] },
    ]);
  });

  it.each<[what: string, text: string]>([
    ['digits', '12 and 3.4e5'],
    ['NaN and Infinity', 'NaN, -Infinity'],
    ['quotes', '"1": 2, \\"3\\"'],
    ['backslashes before a quote', '1\\\\'],
    ['escapes', '\u00001 \n2'],
    ['braces', '{"a":1}, [2]'],
  ])('inside of a string stays text: %s', (_, text) => {
    const body = JSON.stringify([{ [text]: text, after: 7 }]);
    expect(read(body)).toEqual([{ [text]: text, after: { number: '7' } }]);
  });
});

describe('a digest', () => {
  it('is the same for the same element and differs with any part of it', () => {
    const digest = (text: string) => digestOf(readElements(text)?.[0]);
    expect(digest('[{"a":1.0}]')).toBe(digest('[ {"a": 1.0} ]'));
    expect(digest('[{"a":1.0}]')).not.toBe(digest('[{"a":1}]'));
    expect(digest('[1]')).not.toBe(digest('["1"]'));
  });

  it('of a broken line is that of its text', () => {
    const [, first, second] = readElements('{}\n{"a":\n{"b":') ?? [];
    expect(digestOf(first)).toMatch(/^[0-9a-f]{64}$/);
    expect(digestOf(first)).not.toBe(digestOf(second));
  });

  it('is made of anything, however deep', () => {
    expect(digestOf(readElements(`${'['.repeat(1e5)}${']'.repeat(1e5)}`))).toMatch(/^[0-9a-f]{64}$/);
  });
});
