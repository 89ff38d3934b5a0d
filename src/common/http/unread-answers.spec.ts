import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { OpenAnswers } from './open-answers.js';
import { boundUnreadAnswers } from './unread-answers.js';

const MEGABYTE = 1024 * 1024;
/** More than the buffers of a connection take that its client does not read. */
const LARGE = Buffer.alloc(16 * MEGABYTE);

let server: Server;
let responses: ServerResponse[];
let closed: string[];
let clients: Socket[];
beforeEach(() => {
  const paths: string[] = [];
  [responses, closed, clients] = [[], paths, []];
  server = createServer((request, response) => {
    const path = request.url ?? '';
    responses.push(response);
    response.once('close', () => paths.push(path));
    if (path === '/large') response.end(LARGE);
    if (path === '/small') response.end('small');
  });
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await new Promise((ended) => server.close(ended));
});

async function listen(limits: Partial<Parameters<typeof boundUnreadAnswers>[2]>): Promise<void> {
  const most = { milliseconds: 60_000, bytes: 1000 * MEGABYTE, bytesOfConnection: 1000 * MEGABYTE };
  boundUnreadAnswers(server, new OpenAnswers(server), { ...most, ...limits });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
}

/** Sends requests one behind the other on one connection, and reads nothing. */
function ask(...paths: string[]): Socket {
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  client.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
  clients.push(client.pause());
  return client;
}
const poll = (value: () => unknown) => expect.poll(value, { timeout: 20_000 });

it('ends connections whose answers are not taken in time, and no others', async () => {
  await listen({ milliseconds: 1500 });
  const waiting = ask('/later');
  ask('/large', '/small');
  await poll(() => [...closed].sort()).toEqual(['/large', '/small']);
  responses[0]?.end('at last');
  waiting.resume();
  await poll(() => closed.length).toBe(3);
  expect(responses[0]?.writableFinished).toBe(true);
});

it('ends as many connections as hold more than is allowed, those that hold most', async () => {
  await listen({ bytes: 40 * MEGABYTE });
  const requests = [['/large'], ['/large', '/large'], ['/large'], ['/large', '/large', '/large']];
  const wanted = requests.flat().length;
  for (const paths of requests) ask(...paths);
  await poll(() => responses.length).toBe(wanted);
  await poll(() => closed.length).toBe(5);
  const left = responses.filter(({ destroyed }) => !destroyed);
  expect(new Set(left.map(({ req }) => req.socket)).size).toBe(2);
});

it('ends a connection that alone holds more than one may, and no older one for it', async () => {
  await listen({ bytes: 70 * MEGABYTE, bytesOfConnection: 30 * MEGABYTE });
  ask('/large');
  await poll(() => responses.length).toBe(1);
  ask('/large', '/large', '/large', '/large');
  ask('/large');
  await poll(() => closed.length).toBe(4);
  expect(responses.filter(({ destroyed }) => !destroyed).length).toBe(2);
  expect(responses[0]?.destroyed).toBe(false);
});

it('closes also the answers behind another after the client has gone', async () => {
  await listen({ bytes: MEGABYTE });
  const client = ask('/never', '/small', '/later');
  await poll(() => responses.length).toBe(3);
  client.destroy();
  await poll(() => [...closed].sort()).toEqual(['/later', '/never', '/small']);
});
