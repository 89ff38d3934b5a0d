import { expect } from 'vitest';
import type { Answer, HttpClient } from './http-client.js';
import type { TestService } from './service.js';

export const SONNET = 'anthropic.claude-3-sonnet-20240229-v1:0';

/** A user with credits, as one lot each. */
export async function userWithCredits(service: TestService, ...lots: number[]): Promise<HttpClient> {
  const user = service.as();
  expect((await user.get('/api/credits/balance')).status).toBe(200);
  const boss = service.as('boss', { role: 'supervisor' });
  for (const credits of lots) {
    const answer = await boss.post('/api/credits/allocate', { userId: user.userId, credits });
    expect(answer.status).toBe(201);
  }
  return user;
}

export interface Balance {
  totalCredits: number;
  heldCredits: number;
  activeAllocations: { id: number; credits: number; totalCredits: number; expiresAt: string }[];
}

export async function balanceOf(user: HttpClient): Promise<Balance> {
  const answer = await user.get<Balance>('/api/credits/balance');
  expect(answer.status).toBe(200);
  return answer.body;
}

/** Balance cache, lots, ledger and holds of every user agree. */
export async function expectSoundBooks(service: TestService): Promise<void> {
  const answer = await service.as('auditor', { role: 'admin' }).get('/api/credits/audit');
  expect(answer.status).toBe(200);
  expect(answer.body.differences).toEqual([]);
  expect(answer.body.ok).toBe(true);
}

/** How often each status was answered. */
export function countByStatus(answers: Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

export function initialize(user: HttpClient, sessionId: string, more: Record<string, unknown> = {}) {
  return user.post('/api/streaming-sessions/initialize', {
    sessionId,
    modelId: SONNET,
    estimatedTokens: 1000,
    ...more,
  });
}

export const times = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

export interface Entry {
  id: number;
  kind: string;
  credits: number;
  balanceAfter: number;
  allocationId: number;
  sessionId: string | null;
  usageId: number | null;
}

/** The newest 200 entries of a user's ledger, newest first. */
export async function ledgerOf(user: HttpClient): Promise<Entry[]> {
  const answer = await user.get<{ items: Entry[] }>('/api/credits/ledger?limit=200');
  expect(answer.status).toBe(200);
  return answer.body.items;
}

/** Lets the user's lots of these sizes expire a second ago, as time would. */
export async function expireLots(service: TestService, user: HttpClient, sizes: number[]): Promise<void> {
  await service.owner.query(
    `UPDATE credit_allocations SET expires_at = now() - interval '1 second'
      WHERE account_id = $1 AND total_credits = ANY($2)`,
    [user.userId, sizes],
  );
  await service.owner.query(
    `UPDATE credit_balances SET next_expiry = (
       SELECT min(expires_at) FROM credit_allocations WHERE account_id = $1 AND remaining_credits > 0)
      WHERE account_id = $1`,
    [user.userId],
  );
}

/** Lets the lease of a user's active sessions end a second ago. */
export async function endLeases(service: TestService, user: HttpClient): Promise<void> {
  await service.owner.query(
    `UPDATE streaming_sessions SET expires_at = now() - interval '1 second'
      WHERE account_id = $1 AND status = 'active'`,
    [user.userId],
  );
}
