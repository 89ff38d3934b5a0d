import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HttpClient } from '../support/http-client.js';
import { userWithCredits } from '../support/money.js';
import { startService, type TestService } from '../support/service.js';
import { accessToken } from '../support/tokens.js';

let service: TestService;
let user: HttpClient;
const answers = new Set<ServerResponse>();
const remember = (_: IncomingMessage, response: ServerResponse) => answers.add(response);
beforeAll(async () => {
  service = await startService();
  user = await userWithCredits(service, 1);
  await service.owner.query(
    `INSERT INTO usage_records (account_id, user_id, timestamp, service, operation, credits, metadata, billing_status)
     SELECT $1::varchar, $1::varchar, now(), 's', 'o', 0, jsonb_build_object('text', repeat('x', 16000)), 'recorded'
       FROM generate_series(1, 200)`,
    [user.userId],
  );
});
afterAll(() => service.close());

/** The answers that are there in full while their client takes nothing, a second after the first one. */
async function unreadOf(path: string, requests: number): Promise<{ count: number; bytes: number }> {
  const server: Server = service.app.getHttpServer();
  answers.clear();
  server.on('request', remember);
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined);
  const authorization = `Authorization: Bearer ${accessToken({ sub: user.userId })}`;
  client.pause().write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${authorization}\r\n\r\n`.repeat(requests));
  const unread = () =>
    [...answers].filter(({ writableEnded, writableFinished }) => writableEnded && !writableFinished);
  await expect.poll(() => unread().length, { timeout: 20_000 }).toBeGreaterThan(0);
  await new Promise((passed) => setTimeout(passed, 1000));
  const found = unread();
  server.off('request', remember);
  client.destroy();
  return { count: found.length, bytes: found.reduce((sum, { writableLength }) => sum + writableLength, 0) };
}

it('one caller has one report at a time that is not taken', async () => {
  const { bytes } = await unreadOf('/api/usage/records?limit=200', 60);
  expect(bytes).toBeLessThan(2_000_000);
  // The turns end when their client has gone.
  await expect
    .poll(async () => (await user.get('/api/usage/records?limit=1')).status, { timeout: 20_000 })
    .toBe(200);
});
