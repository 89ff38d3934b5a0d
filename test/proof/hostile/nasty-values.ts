import type { Schema } from './document.js';

export const jsonText = (value: unknown) => JSON.stringify(value);

/** Texts that have broken services before: of PostgreSQL, of JavaScript, of shells, of HTML, of Unicode. */
export const NASTY_TEXTS: readonly string[] = [
  '',
  ' ',
  '\t',
  '0',
  '-0',
  '-1',
  '1e3',
  '0x10',
  '٣',
  'NaN',
  'Infinity',
  'null',
  'undefined',
  'true',
  '[object Object]',
  '__proto__',
  'constructor',
  'toString',
  'all',
  'service:internal',
  "'; DROP TABLE user_accounts; --",
  '" OR ""="',
  '$1',
  '%s%n{{7*7}}${7*7}',
  '<script>alert(1)</script>',
  '../../../../etc/passwd',
  'C:\\nul',
  '=cmd|calc!A0',
  '\r\nX-Injected: 1',
  '\u0000',
  'a\u0000b',
  '\u0001\u001b[31m',
  '\u007f',
  '\u00a0',
  '\u200b',
  '\u202etxt.exe',
  '\ufeff',
  '\uffff',
  'e\u0301',
  'Å',
  'ﷺ',
  '👩‍👩‍👧‍👦',
  '🏴󠁧󠁢󠁥󠁮󠁧󠁿'.repeat(4),
  'Z̴̡̛͎'.repeat(5),
  'İıſ',
  'x'.repeat(50),
  'x'.repeat(51),
  'x'.repeat(101),
  'x'.repeat(256),
  '2026-02-30T00:00:00Z',
  '9999-12-31T23:59:59.999999999Z',
  '1970-01-01T00:00:00-23:59',
  '2026-11-20T24:00:00Z',
  '2026-11-21',
  '0001-01-01T00:00:00Z',
  '-271821-04-20T00:00:00.000Z',
  '0.000000000000000001',
  '0.0000000000000000001',
  '9'.repeat(40),
  '1000000.000000000000000001',
];

const nestedObject = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const nestedArray = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

/** Values as JSON text, which can say what no JavaScript value does. */
const NASTY_JSON: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '0.0',
  '-1',
  '1',
  '1.0',
  '1.5',
  '1e0',
  '1e2',
  '1e308',
  '-1e308',
  '1e400',
  '5e-324',
  '2147483647',
  '2147483648',
  '-2147483649',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '9'.repeat(400),
  `0.${'1'.repeat(400)}`,
  '[]',
  '[null]',
  '[1]',
  '["a","a"]',
  '[[[]]]',
  '{}',
  '{"a":1}',
  '{"$ne":null}',
  '{"__proto__":{"isAdmin":true}}',
  '{"constructor":{"prototype":{"isAdmin":true}}}',
  '{"toString":1,"valueOf":1,"toJSON":1,"length":-1,"then":1}',
  '{"length":1000000000}',
  '{"":"","\\u0000":1}',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '{"\\ud800":"\\udfff"}',
  nestedObject(9),
  nestedObject(33),
  nestedObject(10_000),
  nestedArray(10_000),
  jsonText('x'.repeat(20_000)),
  jsonText('😀'.repeat(5_000)),
  jsonText('x'.repeat(110_000)),
  `[${'0,'.repeat(20_000)}0]`,
];

/** What a field of this schema could be given: values that break things, and its own limits from both sides. */
export function nastyJsonFor(schema: Schema): string[] {
  return [...NASTY_JSON, ...NASTY_TEXTS.map(jsonText), ...limitsOf(schema)];
}

function limitsOf({
  type,
  minimum,
  maximum,
  minLength,
  maxLength,
  enum: allowed,
  pattern,
}: Schema): string[] {
  const values: string[] = [];
  for (const limit of [minimum, maximum]) {
    if (limit === undefined) continue;
    values.push(...[limit - 1, limit, limit + 1, limit + 0.5, -limit].map(String), `"${limit}"`);
  }
  for (const length of [minLength, maxLength]) {
    if (length === undefined) continue;
    for (const each of [length - 1, length, length + 1].filter((count) => count >= 0)) {
      values.push(jsonText('x'.repeat(each)), jsonText('😀'.repeat(each)), jsonText('é'.repeat(each)));
    }
  }
  for (const value of allowed ?? [])
    values.push(jsonText(value.toUpperCase()), jsonText(` ${value}`), `[${jsonText(value)}]`);
  if (pattern !== undefined) values.push('"1."', '".5"', '"+1"', '"1,5"', '"1e5"', '"0"', '"00.10"', '3');
  if (type === 'array')
    values.push(`[${'"credits:read",'.repeat(5)}"usage:read"]`, '"credits:read"', '["all"]');
  return values;
}

/** What a query or path parameter could be given, percent-encoded or deliberately not. */
export function nastyParametersFor(schema: Schema): string[] {
  const limits = limitsOf(schema)
    .map((json): unknown => JSON.parse(json))
    .map((value) => encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value)));
  return [...NASTY_TEXTS.map((text) => encodeURIComponent(text)), ...limits, ...BROKEN_ENCODINGS];
}

const BROKEN_ENCODINGS: readonly string[] = [
  '%',
  '%zz',
  '%2',
  '%00',
  'a%00b',
  '%ff',
  '%c0%ae%c0%ae',
  '%ed%a0%80',
  '%f8%88%80%80%80',
  '%E0%A4%A',
  '%2500',
  '%u0041',
  '+',
  '..%2f..%2fetc%2fpasswd',
  '%2e%2e',
  'a;b=c',
  'é',
  '1,2',
  '9007199254740991',
  '9007199254740992',
  'MQ',
  'OTAwNzE5OTI1NDc0MDk5MQ',
  'x'.repeat(4000),
];

/** Whole query strings. */
export const NASTY_QUERIES: readonly string[] = [
  '?',
  '&&&=&=',
  'surprise=1',
  'limit=1&limit=2',
  'limit[]=1',
  'limit[a]=1',
  'a[b][c]=d',
  '__proto__=1',
  '__proto__[x]=1',
  'constructor=1&prototype=1',
  'toString=1&hasOwnProperty=1',
  '%zz=%zz',
  '%00=%00',
  '=%ff%fe',
  'userId=alice&userId=bob',
  'userId[]=alice',
  'USERID=alice',
  'cursor=&limit=&startDate=',
  '_method=DELETE',
  'utf8=✓'.replace('✓', '%E2%9C%93'),
  Array.from({ length: 1200 }, (_, index) => `a${index}=1`).join('&'),
  `surprise=${'x'.repeat(8000)}`,
];

/** Paths made of a good one. */
export const PATH_CHANGES: readonly ((path: string) => string)[] = [
  (path) => `${path}/`,
  (path) => `/${path}`,
  (path) => path.replaceAll('/', '//'),
  (path) => path.toUpperCase(),
  (path) => `${path}.json`,
  (path) => `${path};a=b`,
  (path) => `${path}%00`,
  (path) => `${path}%2f..`,
  (path) => `${path}/..`,
  (path) => `${path}/%2e%2e/%2e%2e/health`,
  (path) => `/./${path.slice(1)}`,
  (path) => path.replace('/api', '/api/..//api'),
  (path) => path.replace(/\/([^/]*)$/, '%2F$1'),
  (path) => path.replace(/\/([^/]*)$/, '\\$1'),
  (path) => `${path}/${'x'.repeat(6000)}`,
  (path) => `${path}/%zz`,
  (path) => `${path}#fragment`,
];

/** Bodies made of the text of a good one. */
export const BODY_CHANGES: readonly [string, (json: string) => Buffer][] = [
  ['nothing', () => Buffer.alloc(0)],
  ['a blank', () => Buffer.from(' ')],
  ['cut in the middle', (json) => Buffer.from(json.slice(0, json.length / 2))],
  ['without its last byte', (json) => Buffer.from(json.slice(0, -1))],
  ['followed by another', (json) => Buffer.from(json + json)],
  ['followed by NUL', (json) => Buffer.from(`${json}\u0000`)],
  ['with a comment', (json) => Buffer.from(`/* */${json}`)],
  ['with a trailing comma', (json) => Buffer.from(json.replace(/\}$/, ',}'))],
  ['with single quotes', (json) => Buffer.from(json.replaceAll('"', "'"))],
  ['with NaN', () => Buffer.from('{"credits":NaN}')],
  ['with a byte order mark', (json) => Buffer.from(`\ufeff${json}`)],
  ['with two byte order marks', (json) => Buffer.from(`\ufeff\ufeff${json}`)],
  ['in UTF-16', (json) => Buffer.from(json, 'utf16le')],
  ['in a list', (json) => Buffer.from(`[${json}]`)],
  ['as a text', (json) => Buffer.from(jsonText(json))],
  ['null', () => Buffer.from('null')],
  ['a number', () => Buffer.from('42')],
  ['an empty list', () => Buffer.from('[]')],
  ['an empty object', () => Buffer.from('{}')],
  ['objects 10,000 deep', () => Buffer.from(nestedObject(10_000))],
  ['lists 10,000 deep', () => Buffer.from(nestedArray(10_000))],
  ['lists 45,000 deep', () => Buffer.from(nestedArray(45_000))],
  ['lists never closed', () => Buffer.from('['.repeat(90_000))],
  [
    'with 9,000 fields',
    () => Buffer.from(`{${Array.from({ length: 9000 }, (_, index) => `"a${index}":1`).join()}}`),
  ],
  ['too large', (json) => Buffer.from(json.replace(/\}$/, `,"notes":${jsonText('x'.repeat(110_000))}}`))],
  ['with an invalid byte in its texts', (json) => invalidByteIn(json, 0xff)],
  ['with a surrogate in UTF-8', (json) => invalidByteIn(json, 0xed, 0xa0, 0x80)],
  ['with an overlong NUL', (json) => invalidByteIn(json, 0xc0, 0x80)],
  ['as a form', (json) => Buffer.from(`json=${encodeURIComponent(json)}`)],
  [
    'as XML',
    () =>
      Buffer.from('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'),
  ],
];

/** Before the last quotation mark, so in a text or in a name. */
function invalidByteIn(json: string, ...bytes: number[]): Buffer {
  const place = json.lastIndexOf('"');
  return Buffer.concat([
    Buffer.from(json.slice(0, place)),
    Buffer.from(bytes),
    Buffer.from(json.slice(place)),
  ]);
}

/** Unknown fields, by their names in JSON. */
export const UNKNOWN_FIELDS: readonly string[] = [
  'surprise',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  'isAdmin',
  'role',
  '',
  '\u0000',
  '😀',
  'a.b',
  'x'.repeat(5000),
  '<script>',
  "'; DROP TABLE user_accounts; --",
];

/** Headers that every operation must withstand. */
export const NASTY_HEADERS: readonly Record<string, string>[] = [
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-type': 'application/json; charset=utf-7' },
  { 'content-type': 'application/json; charset=nonsense' },
  { 'content-type': 'application/json; charset="' },
  { 'content-type': 'application/json, text/plain' },
  { 'content-type': 'application/jsonx' },
  { 'content-type': 'application/vnd.api+json' },
  { 'content-type': 'APPLICATION/JSON' },
  { 'content-type': 'application/x-ndjson' },
  { 'content-type': 'multipart/form-data' },
  { 'content-type': ';;;' },
  { 'content-type': '' },
  { 'content-encoding': 'gzip' },
  { 'content-encoding': 'br' },
  { 'content-encoding': 'nonsense' },
  { 'content-encoding': 'identity' },
  { accept: 'text/csv' },
  { accept: 'image/png' },
  { accept: ';;;q=x' },
  { 'accept-encoding': 'identity;q=0, *;q=0' },
  { 'accept-language': 'x'.repeat(2000) },
  { 'x-request-id': '<script>alert(1)</script>' },
  { 'x-http-method-override': 'DELETE' },
  { 'x-forwarded-for': '127.0.0.1, ::1' },
  { 'x-original-url': '/api/credits/audit' },
  { 'if-none-match': '*' },
  { 'if-modified-since': 'yesterday' },
  { range: 'bytes=0-0' },
  { origin: 'null' },
  { cookie: '__proto__=1; session=' },
  { 'idempotency-key': '' },
  { 'idempotency-key': ' ' },
  { 'idempotency-key': 'x'.repeat(255) },
  { 'idempotency-key': 'x'.repeat(256) },
  { 'idempotency-key': '\u00ff\u00fe' },
  { 'idempotency-key': "'; DROP TABLE user_accounts; --" },
  { 'idempotency-key': '__proto__' },
];
