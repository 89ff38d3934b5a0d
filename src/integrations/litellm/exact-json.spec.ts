import { describe, expect, it } from 'vitest';
import { digestOf, MalformedLine, numberText, readElements, withEach } from './exact-json.js';

/** The elements with every number as `{ number: text }`. */
async function read(text: string): Promise<unknown> {
  return plain(await readElements(text));
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
  ])('is read: %s', async (_, text, elements) => {
    expect(await read(text)).toEqual(elements);
  });

  it.each([
    '{',
    '[{"a":1},',
    'not json',
    '{"a":"b}',
    "{'a':1}",
    '[1,2',
    '}{',
    '[1,,2]',
    '[1,]',
    '[,1]',
    '[{]}',
    '[1]2]',
  ])('is none when nothing in it is JSON: %s', async (text) => {
    expect(await readElements(text)).toBeUndefined();
  });

  it('may be nested as deeply as 10 MB allow', async () => {
    const depth = 1_000_000;
    expect(await readElements(`[{"a":"b"},${'['.repeat(depth)}${']'.repeat(depth)}]`)).toHaveLength(2);
  });

  it('has a digest of its own also where it is nested that deeply', async () => {
    const nest = '['.repeat(30_000) + ']'.repeat(30_000);
    const texts = [
      `{"id":"a","x":${nest}}`,
      `{"id":"b","x":${nest}}`,
      `{"y":"a","x":${nest}}`,
      `{"id":"a","x":[${nest}]}`,
      `{"id":"a","x":[{},${nest}]}`,
      `{"id":"a","x":[[],${nest}]}`,
      `{"id":"a","x":[1,${nest}]}`,
      `{"id":"a","x":[null,${nest}]}`,
      `{"id":"a","x":["null",${nest}]}`,
    ];
    const digests = async () =>
      Promise.all(texts.map(async (text) => digestOf((await readElements(`[${text}]`))?.[0])));
    expect(new Set(await digests()).size).toBe(texts.length);
    expect(await digests()).toEqual(await digests());
  });

  const LARGE = Array.from({ length: 20_000 }, (_, index) => ({
    text: `[,"\\${index}`,
    list: [index, {}, 'x'.repeat(90)],
  }));
  it.each<[what: string, text: string]>([
    ['an array', JSON.stringify(LARGE)],
    ['lines', LARGE.map((element) => JSON.stringify(element)).join('\n')],
  ])(
    'may be large: %s is read piece by piece, and other requests have their turn between',
    async (_, text) => {
      let [turns, isOver] = [0, false];
      const count = () => void (isOver || (turns++, setImmediate(count)));
      setImmediate(count);
      const elements = await readElements(text);
      isOver = true;
      expect(turns).toBeGreaterThan(15);
      const numbered = LARGE.map(({ text: same, list }, index) => ({
        text: same,
        list: [{ number: `${index}` }, ...list.slice(1)],
      }));
      expect(plain(elements)).toEqual(numbered);
    },
  );

  it.each(['', '1,,'])('is none when a piece of a large one is none: %j', async (piece) => {
    const long = JSON.stringify('x'.repeat(150_000));
    expect(await readElements(`[${long},${piece},${long}]`)).toBeUndefined();
    expect(await readElements(`[${long},${long},${piece}]`)).toBeUndefined();
    expect(await readElements(`[${long},${long}]`)).toHaveLength(2);
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
  ])('%s is kept as it was written', async (number) => {
    expect(await read(`[{"a":${number},"b":[${number}, ${number}]}]`)).toEqual([
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
  ])('inside of a string stays text: %s', async (_, text) => {
    const body = JSON.stringify([{ [text]: text, after: 7 }]);
    expect(await read(body)).toEqual([{ [text]: text, after: { number: '7' } }]);
  });
});

describe('a digest', () => {
  it('is the same for the same element and differs with any part of it', async () => {
    const digest = async (text: string) => digestOf((await readElements(text))?.[0]);
    expect(await digest('[{"a":1.0}]')).toBe(await digest('[ {"a": 1.0} ]'));
    expect(await digest('[{"a":1.0}]')).not.toBe(await digest('[{"a":1}]'));
    expect(await digest('[1]')).not.toBe(await digest('["1"]'));
  });

  it('of a broken line is that of its text', async () => {
    const [, first, second] = (await readElements('{}\n{"a":\n{"b":')) ?? [];
    expect(digestOf(first)).toMatch(/^[0-9a-f]{64}$/);
    expect(digestOf(first)).not.toBe(digestOf(second));
  });

  it('is made of anything, however deep', async () => {
    expect(digestOf(await readElements(`${'['.repeat(1e5)}${']'.repeat(1e5)}`))).toMatch(/^[0-9a-f]{64}$/);
  });
});

it('each item has its turn in order, and other requests have theirs between', async () => {
  const seen: number[] = [];
  let turns = 0;
  const count = () => void (seen.length < 9500 && (turns++, setImmediate(count)));
  setImmediate(count);
  await withEach([...Array(9500).keys()], (item) => seen.push(item));
  expect(seen).toEqual([...Array(9500).keys()]);
  expect(turns).toBeGreaterThan(20);
});
