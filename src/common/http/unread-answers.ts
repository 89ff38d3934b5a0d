import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const LOOK_MILLISECONDS = 1000;

/** The answers that a server has not closed yet. */
export function openAnswers(server: Server): ReadonlySet<ServerResponse> {
  const open = new Set<ServerResponse>();
  server.on('request', (_request, response) => {
    open.add(response);
    response.once('close', () => open.delete(response));
  });
  return open;
}

/**
 * Bounds what a server holds of answers that their clients do not take: each has to be taken whole in a time, those of one
 * connection and all together in so many bytes. Beyond that, connections are ended: the one itself, and of all those that
 * hold most, so that a client who asks for much takes nothing from the others.
 */
export function boundUnreadAnswers(
  server: Server,
  open: ReadonlySet<ServerResponse>,
  limits: { milliseconds: number; bytes: number; bytesOfConnection: number },
): void {
  /** Since when an answer has been there in full. */
  const since = new WeakMap<ServerResponse, number>();
  const look = () => {
    const now = performance.now();
    const unread = new Map<Socket, number>();
    for (const response of [...open]) {
      const { socket } = response.req;
      if (socket.destroyed) close(response);
      else if (response.writableEnded) {
        const begun = since.get(response) ?? now;
        since.set(response, begun);
        if (now - begun > limits.milliseconds) socket.destroy();
        else unread.set(socket, (unread.get(socket) ?? 0) + response.writableLength);
      }
    }
    let bytes = 0;
    for (const [socket, ofSocket] of [...unread].sort(([, one], [, other]) => one - other)) {
      if (socket.destroyed) continue;
      bytes += ofSocket;
      if (bytes > limits.bytes || ofSocket > limits.bytesOfConnection) socket.destroy();
    }
  };
  const timer = setInterval(look, LOOK_MILLISECONDS).unref();
  server.once('close', () => clearInterval(timer));
}

/**
 * What Node leaves out for an answer that waits, on a connection that has ended, behind an earlier one: whatever lasts
 * until an answer is closed would last for ever.
 */
function close(response: ServerResponse): void {
  if (response.destroyed) return;
  response.destroy();
  response.emit('close');
}
