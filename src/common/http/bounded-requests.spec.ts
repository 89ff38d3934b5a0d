import { mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LimitedExpressAdapter } from './limited-express.adapter.js';

let adapter: LimitedExpressAdapter;
let clients: Socket[];
beforeEach(async () => {
  clients = [];
  adapter = new LimitedExpressAdapter(30);
  adapter.initHttpServer();
  await new Promise<void>((listening) => adapter.getHttpServer().listen(0, '127.0.0.1', listening));
});
afterEach(async () => {
  for (const client of clients) client.destroy();
  await adapter.close();
});

function connected(): Socket {
  const { port } = adapter.getHttpServer().address() as AddressInfo;
  const client = connect(port, '127.0.0.1').on('error', () => undefined);
  clients.push(client);
  return client;
}

const CHUNKED = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
const pieces = (count: number, length: number) =>
  `${length.toString(16)}\r\n${'x'.repeat(length)}\r\n`.repeat(count);

it.each([
  ['that is answered before it has come, in pieces of one byte', false, 3000, 1],
  ['that is read, in pieces of one byte', true, 3000, 1],
  ['that is endless', false, 40, 1024 * 1024],
])('a connection is ended with a body %s', async (_, isRead, count, length) => {
  adapter.use((request: express.Request, response: express.Response) => {
    if (isRead) request.resume().once('end', () => response.end('read'));
    else response.end('not read');
  });
  const client = connected();
  const closed = new Promise((ended) => client.resume().once('close', ended));
  client.write(CHUNKED + pieces(count, length));
  await closed;
});

it('a body in pieces of one byte that is short, or in ordinary ones that is long, is received', async () => {
  adapter.use((request: express.Request, response: express.Response) => {
    let bytes = 0;
    request
      .on('data', (piece: Buffer) => (bytes += piece.length))
      .once('end', () => response.end(`<${bytes}>`));
  });
  for (const [count, length] of [
    [999, 1],
    [5000, 1000],
  ] as const) {
    const client = connected();
    let answer = '';
    client.on('data', (text: Buffer) => (answer += text.toString()));
    client.write(`${CHUNKED}${pieces(count, length)}0\r\n\r\n`);
    await expect.poll(() => answer).toContain(`<${count * length}>`);
  }
});

it('a connection is ended that sends more requests than 64 before it takes their answers', async () => {
  let asked = 0;
  adapter.use(() => asked++);
  const client = connected();
  const closed = new Promise((ended) => client.resume().once('close', ended));
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2000));
  await closed;
  expect(asked).toBe(64);
});

it('files that were to be sent on a connection that is gone are closed', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'accounting-files-'));
  await writeFile(join(directory, 'file'), Buffer.alloc(1024 * 1024));
  adapter.use(express.static(directory));
  const client = connected().pause();
  client.write('GET /file HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(40));
  await expect.poll(() => openFilesIn(directory)).toBeGreaterThan(1);
  client.destroy();
  await expect.poll(() => openFilesIn(directory)).toBe(0);
  await rm(directory, { recursive: true });
});

async function openFilesIn(directory: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd');
  const paths = await Promise.all(
    descriptors.map((each) => readlink(`/proc/self/fd/${each}`).catch(() => '')),
  );
  return paths.filter((path) => path.startsWith(directory)).length;
}
