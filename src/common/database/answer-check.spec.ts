import { beforeEach, describe, expect, it } from 'vitest';
import { AnswerCheck, DamagedAnswer, HEADER_BYTES } from './answer-check.js';

/** A message of the server. */
function message(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}
const int16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const int32 = (value: number) => Buffer.concat([int16((value >> 16) & 0xffff), int16(value & 0xffff)]);
const columns = (...names: string[]) =>
  message('T', int16(names.length), ...names.flatMap((name) => [name, '\0', Buffer.alloc(18)]));
const row = (...values: (string | null)[]) =>
  message(
    'D',
    int16(values.length),
    ...values.flatMap((value) => (value === null ? [int32(-1)] : [int32(Buffer.byteLength(value)), value])),
  );
const completed = (tag: string) => message('C', `${tag}\0`);
const error = (severity: string, code: string) =>
  message('E', `S${severity}\0V${severity}\0C${code}\0Mno\0\0`);
const NOTICE = message('N', 'SNOTICE\0C00000\0Mso\0\0');
const BOUND = message('2');
const PARSED = message('1');
const NO_DATA = message('n');
const READY = message('Z', 'I');
const MARK = message('3');

let check: AnswerCheck;
beforeEach(() => {
  check = new AnswerCheck();
  receive(message('R', int32(0)), message('K', int32(1), int32(2)), READY);
});

function receive(...messages: Buffer[]): void {
  const bytes = Buffer.concat(messages);
  for (let offset = 0; offset < bytes.length;) {
    const type = bytes[offset] as number;
    const length = bytes.readUInt32BE(offset + 1);
    check.header(type, length);
    check.message(type, bytes, offset + HEADER_BYTES, offset + 1 + length);
    offset += 1 + length;
  }
}

describe('an answer that a server sends', () => {
  it.each([
    ['rows', [PARSED, BOUND, columns('a', 'b'), row('1', null), row('é', ''), completed('SELECT 2'), READY]],
    ['no rows', [BOUND, columns('a'), completed('SELECT 0'), READY]],
    ['rows of a change', [BOUND, columns('a'), row('1'), completed('INSERT 0 1'), READY]],
    ['a change', [BOUND, NO_DATA, completed('UPDATE 3'), READY]],
    ['a setting, whose tag counts nothing', [BOUND, columns('a'), row('1'), completed('SHOW'), READY]],
    ['rows that a table was made of', [BOUND, NO_DATA, completed('SELECT 7'), READY]],
    ['an empty statement', [BOUND, NO_DATA, message('I'), READY]],
    ['notices within and behind it', [NOTICE, BOUND, NOTICE, NO_DATA, completed('DO'), READY, NOTICE]],
    ['a failure of the commit', [BOUND, NO_DATA, completed('INSERT 0 1'), error('ERROR', '40001'), READY]],
    ['the end of the server behind it', [BOUND, NO_DATA, completed('DO'), READY, error('FATAL', '57P01')]],
  ])('is taken: %s', (_, messages) => {
    check.begin('extended', 0);
    receive(...messages);
    expect(check.isAnswered).toBe(true);
  });

  it('may have several parts when the statement was sent as text', () => {
    check.begin('simple', 0);
    receive(
      completed('BEGIN'),
      columns('a'),
      row('1'),
      completed('SELECT 1'),
      completed('CREATE TABLE'),
      READY,
    );
    expect(check.isAnswered).toBe(true);
  });
});

describe('the marks of a statement', () => {
  const answer = [BOUND, columns('a'), row('1'), completed('SELECT 1'), READY];

  it.each([0, 1, 3])('begin its answer: %i', (marks) => {
    check.begin('extended', marks);
    receive(...Array<Buffer>(marks).fill(MARK), ...answer);
    expect(check.isAnswered).toBe(true);
  });

  it.each([
    [1, 0],
    [0, 1],
    [2, 1],
    [1, 2],
    [0, 3],
  ])('%i do not begin the answer to a statement with %i', (came, marks) => {
    check.begin('extended', marks);
    expect(() => receive(...Array<Buffer>(came).fill(MARK), ...answer)).toThrow(DamagedAnswer);
  });

  it('come before an error, but not before the end of the server', () => {
    check.begin('extended', 1);
    expect(() => receive(error('ERROR', '23505'))).toThrow(DamagedAnswer);
    check.begin('extended', 1);
    receive(error('FATAL', '57P01'));
    check.begin('extended', 1);
    receive(MARK, error('ERROR', '23505'));
    expect(check.isRefused).toBe(true);
  });
});

describe('an error', () => {
  it.each([
    ['ERROR', '23505', true],
    ['ERROR', '57014', true],
    ['ERROR', '53100', true],
    ['ERROR', '08P01', false],
    ['ERROR', '57P01', false],
    ['ERROR', '40003', false],
    ['FATAL', '57P01', false],
    ['FATAL', '53300', false],
    ['PANIC', '58030', false],
  ])('of severity %s and code %s proves that nothing happened: %s', (severity, code, isRefused) => {
    check.begin('extended', 0);
    receive(error(severity, code));
    expect(check.isRefused).toBe(isRefused);
  });
});

describe('what no server sends', () => {
  it.each([
    ['a row without a description', [BOUND, row('1')]],
    ['a row of more columns', [BOUND, columns('a'), row('1', '2')]],
    ['a value that is longer than its row', [BOUND, columns('a'), message('D', int16(1), int32(9), 'short')]],
    ['a row that is longer than its values', [BOUND, columns('a'), message('D', int16(1), int32(1), 'ab')]],
    ['text that is not UTF-8', [BOUND, columns('a'), message('D', int16(1), int32(1), Buffer.from([0xff]))]],
    ['fewer rows than it counts', [BOUND, columns('a'), row('1'), completed('SELECT 2')]],
    ['a row twice', [BOUND, columns('a'), row('1'), row('1'), completed('SELECT 1')]],
    ['an end before the answer', [BOUND, columns('a'), row('1'), READY]],
    ['a tag of other letters', [BOUND, NO_DATA, completed('SeLECT 1')]],
    ['a tag without its end', [BOUND, NO_DATA, message('C', 'DO')]],
    ['an answer twice', [BOUND, NO_DATA, completed('DO'), READY, BOUND]],
    ['an error for no statement', [BOUND, NO_DATA, completed('DO'), READY, error('ERROR', '23505')]],
    ['an error without a code', [message('E', 'SERROR\0Mno\0\0')]],
    ['an error whose code has another form', [error('ERROR', '2350')]],
    ['an error that goes on behind its end', [message('E', 'SERROR\0C23505\0Mno\0\0M\0')]],
    ['an error without its end', [message('E', 'SERROR\0C23505\0Mno\0')]],
    ['a message of an unknown type', [message('x')]],
    ['a short message that is long', [message('2', 'body')]],
  ])('is not taken: %s', (_, messages) => {
    check.begin('extended', 0);
    expect(() => receive(...messages)).toThrow(DamagedAnswer);
  });

  it('is not waited for: a length that no message has', () => {
    check.begin('extended', 0);
    expect(() => check.header('2'.charCodeAt(0), 0x7f00_0004)).toThrow(DamagedAnswer);
  });
});
