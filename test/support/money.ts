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

/** Balance cache, lots, ledger and holds of every user agree (law 6). */
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
