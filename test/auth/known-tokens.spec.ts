import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { KnownTokens } from '../../src/auth/known-tokens.js';
import { expectProblem } from '../support/problems.js';
import { freshUser, startService, type TestService } from '../support/service.js';
import { SECRET } from '../support/tokens.js';

let service: TestService;
beforeAll(async () => {
  service = await startService({ JWT_CLOCK_TOLERANCE_SECONDS: '0' });
});
afterAll(() => service.close());

const tokenOf = (sub: string, more: object) =>
  jwt.sign(
    { sub, username: sub, email: `${sub}@example.com`, role: 'user', type: 'access', ...more },
    SECRET,
  );
const balance = (token: string) =>
  service.withHeaders({ authorization: `Bearer ${token}` }).get('/api/credits/balance');

describe('a token that was good a moment ago', () => {
  it('is refused from its exp on, however often it has been used before', async () => {
    const exp = Math.ceil(Date.now() / 1000) + 1;
    const token = tokenOf(freshUser(), { exp });
    let last = await balance(token);
    expect(last.status).toBe(200);
    for (; last.status === 200; last = await balance(token)) expect(Date.now() / 1000).toBeLessThan(exp + 1);
    expectProblem(last, 401, { code: 'auth.token_expired' });
    expect(Date.now() / 1000).toBeGreaterThanOrEqual(exp);
  });

  it('is verified again after a minute, and refused from its exp on, also when the clock is set back or forward', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'hrtime'] });
    try {
      const exp = Math.floor(Date.now() / 1000) + 600;
      const token = tokenOf(freshUser(), { exp });
      expect((await balance(token)).status).toBe(200);
      const isKnown = async () => (await service.get(KnownTokens).callerOf(`Bearer ${token}`)) !== undefined;
      expect(await isKnown()).toBe(true);
      vi.setSystemTime(Date.now() - 3_600_000);
      vi.advanceTimersByTime(59_000);
      expect(await isKnown()).toBe(true);
      vi.setSystemTime(exp * 1000);
      expect(await isKnown()).toBe(false);
      vi.setSystemTime((exp - 3600) * 1000);
      expect(await isKnown()).toBe(true);
      vi.advanceTimersByTime(1001);
      expect(await isKnown()).toBe(false);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is known by all of it: with another signature, other claims or another scheme it is refused', async () => {
    const exp = Math.floor(Date.now() / 1000) + 600;
    const token = tokenOf(freshUser(), { exp });
    expect((await balance(token)).status).toBe(200);
    const [header, , signature] = token.split('.') as [string, string, string];
    const other = tokenOf(freshUser(), { exp, role: 'admin' }).split('.')[1] as string;
    const changed = signature.startsWith('A') ? `B${signature.slice(1)}` : `A${signature.slice(1)}`;
    for (const forged of [
      `${header}.${other}.${signature}`,
      token.replace(signature, changed),
      token.slice(0, -1),
    ]) {
      expectProblem(await balance(forged), 401, { code: 'auth.invalid_token' });
    }
    const basic = service.withHeaders({ authorization: `Basic ${token}` });
    expect((await basic.get('/api/credits/balance')).status).toBe(401);
  });

  it('keeps the role that it has, beside another token of the same user', async () => {
    const sub = freshUser();
    const exp = Math.floor(Date.now() / 1000) + 600;
    const [user, admin] = [tokenOf(sub, { exp }), tokenOf(sub, { exp, role: 'admin' })];
    const audit = async (token: string) =>
      (await service.withHeaders({ authorization: `Bearer ${token}` }).get('/api/credits/audit')).status;
    for (let round = 0; round < 2; round++) {
      expect(await audit(user)).toBe(403);
      expect(await audit(admin)).toBe(200);
    }
  });
});
