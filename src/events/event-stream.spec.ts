import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Response } from 'express';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EventStream } from './event-stream.js';

const EVERYTHING = { userId: undefined, types: undefined };

afterEach(() => {
  vi.useRealTimers();
});

/** A stream that somebody reads over HTTP, and whose clock a test moves. */
async function read(lifetimeMilliseconds: number) {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
  let stream: EventStream | undefined;
  const server = createServer((_, response) => {
    stream = new EventStream(response as Response, EVERYTHING, lifetimeMilliseconds);
    (response as Response).status = (code) => Object.assign(response as Response, { statusCode: code });
    stream.begin();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { body } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const reader = (body as ReadableStream<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new TextDecoderStream())
    .getReader();
  const next = async () => (await reader.read()).value;
  expect(await next()).toBe('retry: 3000\n\n');
  return {
    next,
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
