import { connect } from 'node:net';

const HEADERS_END = Buffer.from('\r\n\r\n');
const STATUS_AT = 'HTTP/1.1 '.length;

/**
 * One kept-alive HTTP connection with one request under way at a time. It does as little as can be done, for it shares
 * the machine with the server that is measured: a request is a text made beforehand, of an answer only the status and the
 * length are read. Answers must have a Content-Length, as those of the service and of the floor have.
 */
export class Connection {
  /**
   * @param {number} port
   * @param {(status: number, body: () => string) => void} onAnswer
   * @param {(error: Error) => void} onError
   */
  constructor(port, onAnswer, onError) {
    this.onAnswer = onAnswer;
    this.onError = onError;
    this.pending = undefined;
    this.missing = 0;
    this.isClosing = false;
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.on('data', (chunk) => this.receive(chunk));
    this.socket.on('error', (error) => this.onError(error));
    this.socket.on('close', () => {
      if (!this.isClosing) this.onError(new Error('the server closed a connection'));
    });
  }

  /** @param {string} request the whole of it; ASCII */
  send(request) {
    this.socket.write(request, 'latin1');
  }

  close() {
    this.isClosing = true;
    this.socket.destroy();
  }

  receive(chunk) {
    if (this.pending !== undefined) {
      this.pending.push(chunk);
      this.missing -= chunk.length;
      if (this.missing > 0) return;
      chunk = Buffer.concat(this.pending);
      this.pending = undefined;
    }
    const end = chunk.indexOf(HEADERS_END);
    const length = end < 0 ? undefined : lengthOf(chunk.latin1Slice(0, end));
    const missing = end < 0 ? 1 : end + HEADERS_END.length + length - chunk.length;
    if (Number.isNaN(missing)) return this.onError(new Error('an answer without Content-Length'));
    if (missing > 0) {
      this.pending = [chunk];
      this.missing = missing;
      return;
    }
    const status = Number(chunk.latin1Slice(STATUS_AT, STATUS_AT + 3));
    this.onAnswer(status, () => chunk.toString('utf8', end + HEADERS_END.length));
  }
}

function lengthOf(headers) {
  return Number(/\r\ncontent-length: *(\d+)/i.exec(headers)?.[1] ?? NaN);
}
