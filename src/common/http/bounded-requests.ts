import { IncomingMessage, type RequestListener } from 'node:http';
import type { OpenAnswers } from './open-answers.js';

/** Requests sent one behind the other before the first is answered. No client in use sends more than a few. */
const MAXIMUM_OPEN = 64;
/** More than any route takes: what is refused before it has come is read this far, so that its sender sees the answer. */
const MAXIMUM_BYTES = 32 * 1024 * 1024;
/** A body may come in so many pieces, whatever their size; beyond that they must have some bytes on average. */
const PIECES = 1000;
const BYTES_OF_PIECE = 256;

interface Received extends IncomingMessage {
  pieces?: number;
  bytes?: number;
}

/** Hands requests on, but ends a connection that sends too many of them before it takes their answers. */
export function boundOpenRequests(handle: RequestListener, openAnswers: () => OpenAnswers): RequestListener {
  return (request, response) => {
    const { socket } = request;
    // Node hands on all requests of a packet, also after the connection has been ended.
    if (socket.destroyed || openAnswers().of(socket).length >= MAXIMUM_OPEN) socket.destroy();
    else handle(request, response);
  };
}

/**
 * Bounds what a request's body costs to receive, whether it is read or not: Node takes about a microsecond for each piece of
 * a chunked body, so a megabyte in pieces of one byte took as long as 200 in large ones.
 *
 * @param prototype of the server's requests
 */
export function boundBodies(prototype: object): void {
  Object.assign(prototype, {
    push(this: Received, piece: Buffer | null, encoding?: BufferEncoding): boolean {
      if (piece !== null) {
        this.pieces = (this.pieces ?? 0) + 1;
        this.bytes = (this.bytes ?? 0) + piece.length;
        const isTooFine = this.pieces > PIECES && this.bytes < this.pieces * BYTES_OF_PIECE;
        if (isTooFine || this.bytes > MAXIMUM_BYTES) {
          this.socket.destroy();
          return false;
        }
      }
      return IncomingMessage.prototype.push.call(this, piece, encoding);
    },
    /** Node calls this when the answer has gone out and the body has not come whole; its own way would not count the rest. */
    _dump(this: Received): void {
      this.removeAllListeners('data');
      this.resume();
    },
  });
}
