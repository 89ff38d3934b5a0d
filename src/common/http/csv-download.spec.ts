import { once } from 'node:events';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { Response } from 'express';
import { expect, it } from 'vitest';
import { sendCsv } from './csv-download.js';

it('ends the search of a reader who has gone, also where it finds nothing more', async () => {
  let searched = 0;
  async function* lines(): AsyncGenerator<string> {
    yield 'heading\r\n';
    for (; searched < 100_000; searched++) {
      await turn();
      yield '';
    }
  }
  const sent = new Promise<void>((resolve, reject) => {
    const server = createServer((_, response) => {
      const to = response as unknown as Response;
      sendCsv(lines(), to, { fileName: 'test.csv', patienceSeconds: 60 }).then(() => resolve(), reject);
    });
    server.listen(0, '127.0.0.1', () => {
      const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }, (answer) => {
        answer.once('data', () => request.destroy());
        answer.on('error', () => undefined);
      });
      request.on('error', () => undefined);
      void once(request, 'close').then(() => server.close());
    });
  });
  await sent;
  expect(searched).toBeLessThan(100_000);
});
