import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { expect, inject, it } from 'vitest';
import { accessToken } from '../../testing/service.js';
import { Accounting } from '../src/index.js';
import { forUser, problemResponse } from '../src/next.js';
import { metered } from '../src/openai.js';
import { billed, fake, GPT, PROMPT, User } from './support/world.js';

const world = inject('world');
const { url: baseUrl, internalApiKey } = world;
const plain = new OpenAI({ apiKey: 'any', baseURL: `${world.provider}/v1` });
/** A user who must not pay for those without a token. */
const accounting = new Accounting({ baseUrl, internalApiKey, userId: 'operator' });
const body = { model: GPT, messages: [{ role: 'user' as const, content: PROMPT }] };

/** The chat service of the guide (docs/guides/chat-service.md). */
async function listen(): Promise<{ url: string; stop(): void }> {
  Object.assign(process.env, {
    ACCOUNTING_URL: baseUrl,
    ACCOUNTING_KEY: internalApiKey,
    OPENAI_API_KEY: 'any',
    OPENAI_BASE_URL: `${world.provider}/v1`,
    PORT: '0',
  });
  const { server } = await import('../examples/chat-service.js');
  if (!server.listening) await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/chat`,
    stop: () => void server.close(),
  };
}
/** A request to it. */
const chat = (headers: Record<string, string> = {}) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify({ messages: body.messages }),
});

/** A route of Next, as a service would write it. */
async function route(request: Request): Promise<Response> {
  try {
    const openai = metered(plain, { accounting: forUser(accounting, request) });
    const answer = await openai.chat.completions.create(
      body,
      fake({ id: request.headers.get('x-id'), tokens: 20 }),
    );
    return Response.json(answer);
  } catch (error) {
    const response = problemResponse(error);
    if (response === undefined) throw error;
    return response;
  }
}
const bearer = (user: User) => ({
  authorization: `Bearer ${accessToken(world.jwtSecret, { sub: user.id })}`,
});

it('Express: the user of the request pays; 402 and 401 are answered as the service does', async () => {
  const app = await listen();
  const [user, poor] = [await User.with(world, 10_000), await User.with(world, 5)];
  const answer = await fetch(app.url, chat(bearer(user)));
  expect((await answer.text()).trim().split(' ')).toHaveLength(50);
  expect((await user.onlyRecord()).credits).toBe(77);
  const refused = await fetch(app.url, chat(bearer(poor)));
  expect(refused.status).toBe(402);
  expect(refused.headers.get('content-type')).toContain('application/problem+json');
  expect(await refused.json()).toMatchObject({
    code: 'credits.insufficient',
    detail: 'Insufficient credits',
    limits: [],
  });
  const anonymous = await fetch(app.url, chat());
  expect(anonymous.status).toBe(401);
  // Enough for the prompt and the first part of the answer, which is then cut short by the provider at what they pay for.
  const short = await User.with(world, 60);
  const part = await (await fetch(app.url, chat(bearer(short)))).text();
  expect(part.trim().split(' ').length).toBeLessThan(50);
  app.stop();
});

it('Next: the user of the request pays; 402 and 401 are answered as the service does', async () => {
  const [user, poor] = [await User.with(world, 10_000), await User.with(world, 5)];
  const request = (headers: Record<string, string>) => new Request('http://localhost/chat', { headers });
  const id = randomUUID();
  expect((await route(request({ ...bearer(user), 'x-id': id }))).status).toBe(200);
  expect((await user.onlyRecord()).credits).toBe(47);
  const other = randomUUID();
  expect((await route(request({ ...bearer(poor), 'x-id': other }))).status).toBe(402);
  expect((await route(request({ 'x-id': other }))).status).toBe(401);
  expect(await billed(world, other)).toBeUndefined();
  expect(problemResponse(new Error('of another kind'))).toBeUndefined();
});
