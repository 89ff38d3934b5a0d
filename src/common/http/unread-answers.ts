import type { Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { OpenAnswers } from './open-answers.js';

const LOOK_MILLISECONDS = 1000;

/**
 * Bounds what a server holds of answers that their clients do not take: each has to be taken whole in a time, those of one
 * connection and all together in so many bytes. Beyond that, connections are ended: the one itself, and of all those that
 * hold most, so that a client who asks for much takes nothing from the others.
 */
export function boundUnreadAnswers(
  server: Server,
  open: OpenAnswers,
  limits: { milliseconds: number; bytes: number; bytesOfConnection: number },
): void {
  /** Since when an answer has been there in full. */
  const since = new WeakMap<ServerResponse, number>();

  /** How many bytes of the connection's answers are unread; Infinity: one of them for too long. */
  const unreadOf = (socket: Duplex, now: number): number => {
    let unread = 0;
    for (const response of open.of(socket)) {
      if (!response.writableEnded) continue;
      const begun = since.get(response) ?? now;
      since.set(response, begun);
      unread += now - begun > limits.milliseconds ? Infinity : response.writableLength;
    }
    return unread;
  };

  const look = () => {
    const now = performance.now();
    const connections = open.connections.map((socket) => ({ socket, unread: unreadOf(socket, now) }));
    let bytes = 0;
    for (const { socket, unread } of connections.sort((one, other) => one.unread - other.unread)) {
      if (socket.destroyed) continue;
      bytes += unread;
      if (bytes > limits.bytes || unread > limits.bytesOfConnection) socket.destroy();
    }
  };
  const timer = setInterval(look, LOOK_MILLISECONDS).unref();
  server.once('close', () => clearInterval(timer));
}
