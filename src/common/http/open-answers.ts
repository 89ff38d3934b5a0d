import type { Server, ServerResponse } from 'node:http';
import { type Duplex, PassThrough } from 'node:stream';

/**
 * What a server has not answered in full yet, by connection. Nothing is kept for each request alone: a set of all answers,
 * each added and taken away, cost a request 20 µs of the garbage collector's time (Node 20.20).
 */
export class OpenAnswers {
  private readonly byConnection = new Map<Duplex, ServerResponse[]>();

  constructor(server: Server) {
    server.on('connection', (socket: Duplex) => {
      this.byConnection.set(socket, []);
      // After Node, which closes the first one and leaves out those that wait behind it: whatever lasts until an answer is
      // closed would last for ever.
      socket.once('close', () =>
        setImmediate(() => {
          const left = this.of(socket);
          this.byConnection.delete(socket);
          left.forEach(close);
        }),
      );
    });
    server.on('request', ({ socket }, response) => {
      if (!socket.destroyed && this.byConnection.has(socket))
        this.byConnection.set(socket, [...this.of(socket), response]);
    });
  }

  get connections(): Duplex[] {
    return [...this.byConnection.keys()];
  }

  /**
   * Those of one connection, in the order of their requests. One that went out before its request had come whole is among
   * them: a second answer would be taken for the next one's.
   */
  of(socket: Duplex): ServerResponse[] {
    return (this.byConnection.get(socket) ?? []).filter(
      ({ writableFinished, req }) => !writableFinished || !req.complete,
    );
  }
}

function close(response: ServerResponse): void {
  if (response.destroyed) return;
  response.destroy();
  response.emit('close');
  // on-finished, by which files are sent, waits for the connection of an answer that has not had one yet. Node ends this
  // one, as the answer has been destroyed.
  response.emit('socket', new PassThrough());
}
