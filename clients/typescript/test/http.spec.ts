import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import express from 'express';
import OpenAI from 'openai';
import { expect, inject, it } from 'vitest';
import { accessToken } from '../../testing/service.js';
import { accountingErrors, forwardUser } from '../src/express.js';
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

/** A chat route as a service would write it, in either framework. */
async function listen(): Promise<{ url: string; stop(): void }> {
  const app = express();
  app.get('/chat', forwardUser(accounting), async (request, response) => {
    const openai = metered(plain, { accounting: request.accounting });
    const stream = await openai.chat.completions.create({ ...body, stream: true }, fake({ tokens: 20 }));
    for await (const chunk of stream) response.write(chunk.choices[0]?.delta.content ?? '');
    response.end();
  });
  app.use(accountingErrors());
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => void server.close(),
  };
}
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
  const answer = await fetch(`${app.url}/chat`, { headers: bearer(user) });
  expect((await answer.text()).trim().split(' ')).toHaveLength(20);
  expect((await user.onlyRecord()).credits).toBe(47);
  const refused = await fetch(`${app.url}/chat`, { headers: bearer(poor) });
  expect(refused.status).toBe(402);
  expect(refused.headers.get('content-type')).toContain('application/problem+json');
  expect(await refused.json()).toMatchObject({
    code: 'credits.insufficient',
    detail: 'Insufficient credits',
    limits: [],
  });
  const anonymous = await fetch(`${app.url}/chat`);
  expect(anonymous.status).toBe(401);
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
