import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { expect, it } from 'vitest';
import { boundedFetch } from './bounded-fetch.js';

it('fails at once, long before its deadline, when the server changes the protocol', async () => {
  const server = createServer((_, response) =>
    response.writeHead(101, { connection: 'Upgrade', upgrade: 'x' }).end(),
  );
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const request = { headers: {}, deadlineMilliseconds: 600_000, maximumBytes: 1000 };
  await expect(boundedFetch(`http://127.0.0.1:${port}`, request)).rejects.toThrow('without an answer');
  server.closeAllConnections();
  server.close();
});

it('fails when the server announces its answer without end', async () => {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(100));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const request = { headers: {}, deadlineMilliseconds: 600_000, maximumBytes: 1000 };
  await expect(boundedFetch(`http://127.0.0.1:${port}`, request)).rejects.toThrow('announced without end');
  server.close();
});
