import { type AddressInfo, createServer, type Socket } from 'node:net';

/** AuthenticationOk and ReadyForQuery of PostgreSQL's protocol. */
const WELCOME = Buffer.from('520000000800000000' + '5a0000000549', 'hex');

/** A server that takes every login and then says nothing more. */
export async function startSilentDatabase() {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => undefined));
    socket.once('data', () => socket.write(WELCOME));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `postgresql://app:word@127.0.0.1:${(server.address() as AddressInfo).port}/any`,
    /** How often a client has connected. */
    connections: () => sockets.length,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
