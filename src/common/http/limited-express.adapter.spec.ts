import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { beforeEach, expect, it } from 'vitest';
import { LimitedExpressAdapter } from './limited-express.adapter.js';

let adapter: LimitedExpressAdapter;
let server: Server;
beforeEach(async () => {
  adapter = new LimitedExpressAdapter(30);
  adapter.initHttpServer();
  server = adapter.getHttpServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
});

/** A request on a connection that is kept open, and the server's side of both. */
async function ask(request: string): Promise<{ client: Socket; socket: Socket; response: ServerResponse }> {
  const asked = new Promise<ServerResponse>((got) => {
    adapter.get('/', (_request: unknown, response: ServerResponse) => got(response));
  });
  const connected = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').resume();
  client.write(request);
  const [socket] = await connected;
  return { client, socket, response: await asked };
}
const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const HALF_A_BODY = 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345';

it('a server that is being closed ends a connection when its last answer has gone out', async () => {
  const { client, response } = await ask(GET);
  const closed = adapter.close();
  const ended = once(client, 'close');
  response.end('done');
  await Promise.all([closed, ended]);
});

it.each([
  ['whose request is worked on', GET, false, false],
  ['whose answer has begun', GET, true, true],
  ['whose request has not come whole', HALF_A_BODY, false, true],
])('a connection %s and that is silent: ended %s', async (_name, request, hasBegun, isEnded) => {
  const { client, socket, response } = await ask(request);
  if (hasBegun) response.write('begun');
  // What Node emits for a connection that was silent for as long as it may be.
  server.emit('timeout', socket);
  expect(socket.destroyed).toBe(isEnded);
  client.destroy();
  await adapter.close();
});
