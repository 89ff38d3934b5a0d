import { expect } from 'vitest';
import type { Answer } from './http-client.js';

export interface ExpectedProblem {
  code?: string;
  message?: string;
  /** A field that `errors` must name. */
  field?: string;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  message: string;
  code: string;
  requestId: string;
  errors?: { field: string; message: string }[];
}

/** An error answer of the documented form, whole and without anything that is not the caller's to see. */
export function expectProblem(answer: Answer<object>, status: number, expected: ExpectedProblem = {}): void {
  expect(answer.status, answer.text).toBe(status);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const problem = answer.body as Problem;
  expect(problem).toMatchObject({
    status,
    type: `urn:problem-type:${problem.code}`,
    message: problem.detail,
  });
  expect(problem.code).toMatch(/^[a-z]+([._][a-z]+)*$/);
  expect(problem.title).toMatch(/\S/);
  expect(problem.detail).toMatch(/\S/);
  expect(problem.requestId).toMatch(/\S/);
  expect(answer.headers.get('x-request-id')).toBe(problem.requestId);
  expect(answer.text).not.toMatch(/"stack"|node_modules|\.(ts|js):\d+|\b(SELECT|INSERT|UPDATE) /);
  if (status === 400) expect(problem.errors).not.toHaveLength(0);
  for (const error of problem.errors ?? [])
    expect(error).toEqual({ field: expect.stringMatching(/\S/), message: expect.stringMatching(/\S/) });
  if (status === 401) expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  if (status === 503) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  if (expected.code !== undefined) expect(problem.code).toBe(expected.code);
  if (expected.message !== undefined) expect(problem.message).toBe(expected.message);
  if (expected.field !== undefined)
    expect((problem.errors ?? []).map((error) => error.field)).toContain(expected.field);
}
