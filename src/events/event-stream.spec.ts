import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Response } from 'express';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EventStream } from './event-stream.js';

const EVERYTHING = { accountId: undefined, types: undefined };

afterEach(() => {
  vi.useRealTimers();
});

/** A stream that is read over HTTP, and whose clock a test moves. */
async function read(lifetimeMilliseconds: number) {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
  let stream: EventStream | undefined;
  const server = createServer((_, response) => {
    stream = new EventStream(response as Response, EVERYTHING);
    (response as Response).status = (code) => Object.assign(response as Response, { statusCode: code });
    stream.begin(lifetimeMilliseconds);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const client = new AbortController();
  const { body } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    signal: client.signal,
  });
  const reader = (body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  const next = async () => (await reader.read()).value;
  expect(await next()).toBe('retry: 3000\n\n');
  return {
    stream: stream as unknown as EventStream,
    next,
    hangUp: () => client.abort(),
    stop: async () => {
      stream?.close();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

describe('a stream on which nothing happens', () => {
  it('is kept alive by a comment every 15 seconds, so that no proxy between takes it for dead', async () => {
    const { next, stop } = await read(3_600_000);
    for (let n = 0; n < 3; n++) {
      vi.advanceTimersByTime(15_000);
      expect(await next()).toBe(':\n\n');
    }
    await stop();
  });

  it('ends with its lifetime, also one that is longer than a timer can count', async () => {
    const brief = await read(60_000);
    vi.advanceTimersByTime(60_000);
    let last: string | undefined = '';
    while (last !== undefined) last = await brief.next();
    await brief.stop();
    vi.useRealTimers();
    const endless = await read(2 ** 40);
    vi.advanceTimersByTime(15_000);
    expect(await endless.next()).toBe(':\n\n');
    await endless.stop();
  });
});

it('what is to be done at the end of a stream is done at once when the stream has ended', async () => {
  const { stream, stop } = await read(60_000);
  const done: string[] = [];
  stream.onClose(() => done.push('before'));
  stream.close();
  stream.onClose(() => done.push('after'));
  expect(done).toEqual(['before', 'after']);
  await stop();
});

describe('a client that does not read', () => {
  it('is waited for until it reads on, or hangs up', async () => {
    const { stream, next, hangUp, stop } = await read(3_600_000);
    vi.useRealTimers();
    let id = 0;
    /** Sends more than is taken by itself. */
    const fill = async () => {
      const data = { text: 'x'.repeat(10_000) };
      do stream.send({ id: ++id, type: 'credits.low', accountId: 'u', userId: 'u', occurredAt: '', data });
      while (stream.waitingBytes < 5_000_000);
      let isOver = false;
      const drained = stream.drained().then(() => (isOver = true));
      await new Promise((passed) => setTimeout(passed, 50));
      expect(isOver).toBe(false);
      return { drained };
    };
    const slow = await fill();
    while (stream.waitingBytes > 0) await next();
    await slow.drained;
    const gone = await fill();
    hangUp();
    await gone.drained;
    expect(stream.isClosed).toBe(true);
    await stop();
  });
});
