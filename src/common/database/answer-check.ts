import { isUtf8 } from 'node:buffer';

/**
 * What may follow what within the answer to a statement, by the types of PostgreSQL's messages:
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
const EXTENDED: Order = {
  first: '12E',
  1: '2E',
  2: 'TnE',
  T: 'DCE',
  D: 'DCE',
  n: 'CIE',
  C: 'ZE',
  I: 'ZE',
  E: 'Z',
};
const SIMPLE: Order = { first: 'TCIE', T: 'DCE', D: 'DCE', C: 'TCIEZ', I: 'TCIEZ', E: 'Z' };
/** The answer to a request to close something. Each statement asks for some, and as many begin its answer. */
const MARK = '3';
const STARTUP = 'RSKvNEZ';
/** Notices, settings that changed and notifications: within an answer and without. */
const ASYNCHRONOUS = 'NSA';
type Order = Partial<Record<string, string>>;

/** Messages of other types are short: more is a damaged length, whose end would never come. */
const LONG = 'TDENA';
const SHORT_BYTES = 30_000;
const LONG_BYTES = 0x3fff_ffff;
export const HEADER_BYTES = 5;

/** `SELECT 3`, `INSERT 0 3`, `CREATE TABLE`, and the zero byte at its end. */
const TAG = /^(?:INSERT 0|[A-Z]+(?: [A-Z]+)*)(?: (\d+))?\0$/;

const ROW = 0x44;
const NOTHING = '';

/** What the server sent is not what a server sends; whether it carried out the statement is unknown. */
export class DamagedAnswer extends Error {}

/**
 * Reads along what the server of one connection sends, and throws at what no server sends: wrong framing, messages out
 * of order, rows that do not fit their description or are fewer than the server counted, text that is not UTF-8, anything
 * behind the end of an answer, and an answer with the marks of another statement. A changed digit of a value is not
 * noticed: that takes TLS.
 */
export class AnswerCheck {
  private order: Order = {};
  private expected = STARTUP;
  /** Marks that are still to come. */
  private marks = 0;
  private columns = 0;
  private rows = 0;
  private describesRows = false;
  /** Whether the last ErrorResponse is a refusal of the statement, and the server's connection lives on. */
  isRefused = false;

  /**
   * A statement was sent.
   *
   * @param marks how many of them begin its answer
   */
  begin(protocol: 'simple' | 'extended', marks: number): void {
    this.order = protocol === 'simple' ? SIMPLE : EXTENDED;
    this.marks = marks;
    this.expected = this.nextExpected();
    this.describesRows = false;
  }

  private nextExpected(): string {
    return this.marks > 0 ? `${MARK}E` : (this.order.first ?? NOTHING);
  }

  /** Whether the last statement is answered to its end. */
  get isAnswered(): boolean {
    return this.expected === NOTHING;
  }

  /** @param length what the header says, without the byte of the type */
  header(type: number, length: number): void {
    // The next row of many, by far the most frequent message.
    if (type === ROW && this.describesRows && length <= LONG_BYTES) return;
    const name = String.fromCharCode(type);
    const mayEnd = name === 'E' && this.isAnswered;
    if (!this.expected.includes(name) && !ASYNCHRONOUS.includes(name) && !mayEnd) {
      throw new DamagedAnswer(`The database sent a message "${name}" where none was expected`);
    }
    if (length < 4 || length > (LONG.includes(name) ? LONG_BYTES : SHORT_BYTES)) {
      throw new DamagedAnswer(`The database sent a message "${name}" of ${length} bytes`);
    }
  }

  /** A whole message, whose body is `bytes` from `start` to `end`. */
  message(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === ROW) return this.row(bytes, start, end);
    const name = String.fromCharCode(type);
    if (name === 'N') fieldsOf(bytes, start, end);
    if (name === 'E') this.error(bytes, start, end);
    if (name === 'T') this.description(bytes, start, end);
    if (name === 'C') this.completion(bytes, start, end);
    if (name === 'Z' && (end - start !== 1 || !'ITE'.includes(String.fromCharCode(bytes[start] as number)))) {
      throw new DamagedAnswer('The database sent a wrong end of an answer');
    }
    if ('123nI'.includes(name) && end !== start)
      throw new DamagedAnswer('The database sent a message with a body');
    if (ASYNCHRONOUS.includes(name) || this.isAnswered) return;
    if (name === 'Z') this.expected = NOTHING;
    else if (name === MARK) {
      this.marks--;
      this.expected = this.nextExpected();
    } else if (this.expected !== STARTUP) this.expected = this.order[name] ?? NOTHING;
  }

  private row(bytes: Buffer, start: number, end: number): void {
    let offset = start + 2;
    if (end < offset || bytes.readUInt16BE(start) !== this.columns)
      throw new DamagedAnswer('A row of other columns');
    for (let column = 0; column < this.columns; column++) {
      if (offset + 4 > end) throw new DamagedAnswer('A row is too short');
      const length = bytes.readInt32BE(offset);
      offset += 4;
      if (length === -1) continue;
      if (length < 0 || offset + length > end) throw new DamagedAnswer('A value is longer than its row');
      if (!isUtf8(bytes.subarray(offset, offset + length))) throw new DamagedAnswer('A value is not UTF-8');
      offset += length;
    }
    if (offset !== end) throw new DamagedAnswer('A row is too long');
    this.rows++;
    this.expected = this.order.D ?? NOTHING;
  }

  private description(bytes: Buffer, start: number, end: number): void {
    if (end < start + 2) throw new DamagedAnswer('A description of rows is too short');
    this.columns = bytes.readUInt16BE(start);
    let offset = start + 2;
    for (let column = 0; column < this.columns; column++) {
      const nameEnd = bytes.indexOf(0, offset);
      // Behind the name: its table, column, type, size, modifier and format.
      offset = nameEnd + 1 + 18;
      if (nameEnd === -1 || offset > end) throw new DamagedAnswer('A description of rows is too short');
      if (bytes.readUInt16BE(offset - 2) !== 0) throw new DamagedAnswer('A column is not sent as text');
    }
    if (offset !== end) throw new DamagedAnswer('A description of rows is too long');
    this.rows = 0;
    this.describesRows = true;
  }

  /** A tag such as `SELECT 3` counts the rows that were sent; `SHOW` and its like count none. */
  private completion(bytes: Buffer, start: number, end: number): void {
    const match = TAG.exec(bytes.toString('latin1', start, end));
    if (match === null) throw new DamagedAnswer('A statement ended in an unknown way');
    const count = match[1];
    if (this.describesRows && count !== undefined && Number(count) !== this.rows) {
      throw new DamagedAnswer(`Of ${count} rows ${this.rows} have come`);
    }
    this.describesRows = false;
  }

  private error(bytes: Buffer, start: number, end: number): void {
    const fields = fieldsOf(bytes, start, end);
    const severity = fields.V ?? fields.S;
    const code = fields.C ?? '';
    if (severity === undefined || fields.M === undefined || !/^[0-9A-Z]{5}$/.test(code)) {
      throw new DamagedAnswer('The database sent an error without its fields');
    }
    const ends = severity === 'FATAL' || severity === 'PANIC';
    if ((this.isAnswered || this.marks > 0) && !ends) {
      throw new DamagedAnswer('The database sent an error for no statement');
    }
    this.isRefused =
      this.expected !== STARTUP &&
      severity === 'ERROR' &&
      !code.startsWith('08') &&
      !code.startsWith('57P') &&
      code !== '40003';
    this.describesRows = false;
  }
}

/** The fields of an error or a notice, each one byte of type and a text; a zero byte ends them. */
function fieldsOf(bytes: Buffer, start: number, end: number): Partial<Record<string, string>> {
  const fields: Partial<Record<string, string>> = {};
  let offset = start;
  while (offset < end && bytes[offset] !== 0) {
    const valueEnd = bytes.indexOf(0, offset + 1);
    if (valueEnd === -1 || valueEnd >= end) break;
    fields[String.fromCharCode(bytes[offset] as number)] = bytes.toString('utf8', offset + 1, valueEnd);
    offset = valueEnd + 1;
  }
  if (offset !== end - 1 || bytes[offset] !== 0)
    throw new DamagedAnswer('The database sent an error without its end');
  return fields;
}
