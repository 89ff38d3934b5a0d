import type { Server, ServerResponse } from 'node:http';

const LOOK_MILLISECONDS = 1000;

/** The answers that a server has not closed yet, those with the earliest requests first. */
export function openAnswers(server: Server): ReadonlySet<ServerResponse> {
  const open = new Set<ServerResponse>();
  server.on('request', (_request, response) => {
    open.add(response);
    response.once('close', () => open.delete(response));
  });
  return open;
}

/**
 * Bounds what a server holds of answers that their clients do not take: each has to be taken whole in a time, and all
 * together in so many bytes; beyond that, connections are ended, those with the earliest requests first.
 */
export function boundUnreadAnswers(
  server: Server,
  open: ReadonlySet<ServerResponse>,
  { milliseconds, bytes }: { milliseconds: number; bytes: number },
): void {
  /** Since when an answer has been there in full. */
  const since = new WeakMap<ServerResponse, number>();
  const look = () => {
    const now = performance.now();
    let unread = 0;
    const newestFirst = [...open].reverse();
    for (const response of newestFirst) {
      const { socket } = response.req;
      if (socket.destroyed) close(response);
      else if (response.writableEnded) {
        const begun = since.get(response) ?? now;
        since.set(response, begun);
        unread += response.writableLength;
        if (unread > bytes || now - begun > milliseconds) socket.destroy();
      }
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
