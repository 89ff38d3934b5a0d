import { expect } from 'vitest';
import type { Answer, HttpClient } from './http-client.js';
import { initialize } from './money.js';
import { freshUser, type TestService } from './service.js';

export const ORGANISATIONS = '/api/organisations';

export interface TestOrganisation {
  id: string;
  /** `/api/organisations/<id>` */
  path: string;
  boss: HttpClient;
  owner: HttpClient;
  /** Adds a fresh user, or this one. */
  member(role: string, more?: { userId?: string; unitId?: number }): Promise<HttpClient>;
  /** Adds a unit, and returns its id. */
  unit(name: string, parentId?: number): Promise<number>;
  allocate(credits: number): Promise<void>;
  /** Makes a budget of it, by its owner or another, and returns its id. */
  budget(budget: Record<string, unknown>, by?: HttpClient): Promise<number>;
  /** Starts a session of a user that the organisation pays: 1,000 tokens cost 3 credits, and 4 are held. */
  start(user: HttpClient, sessionId: string, more?: Record<string, unknown>): Promise<Answer>;
  finalize(user: HttpClient, sessionId: string, actualTokens: number): Promise<Answer>;
}

export function patch(client: HttpClient, path: string, body: object): Promise<Answer> {
  return client.send('PATCH', path, body, {});
}

/** An organisation that a supervisor has made, whose only owner is now a plain user. */
export async function organisation(service: TestService, name = 'Acme'): Promise<TestOrganisation> {
  const boss = service.as(freshUser('boss'), { role: 'supervisor' });
  const id = `org:${freshUser('o')}`;
  const path = `${ORGANISATIONS}/${id}`;
  const made = await boss.post(ORGANISATIONS, { id, name });
  expect(made.status, made.text).toBe(201);
  const member: TestOrganisation['member'] = async (role, more = {}) => {
    const user = service.as(more.userId ?? freshUser(role));
    const added = await boss.post(`${path}/members`, { userId: user.userId, role, ...more });
    expect(added.status, added.text).toBe(201);
    return user;
  };
  const owner = await member('owner');
  expect((await boss.delete(`${path}/members/${boss.userId}`)).status).toBe(204);
  const unit: TestOrganisation['unit'] = async (unitName, parentId) => {
    const added = await boss.post<{ id: number }>(`${path}/units`, { name: unitName, parentId });
    expect(added.status, added.text).toBe(201);
    return added.body.id;
  };
  return {
    id,
    path,
    boss,
    owner,
    member,
    unit,
    allocate: async (credits) => {
      const given = await boss.post('/api/credits/allocate', { accountId: id, credits });
      expect(given.status, given.text).toBe(201);
    },
    budget: async (budget, by = owner) => {
      const made = await by.post<{ id: number }>('/api/budgets', { accountId: id, ...budget });
      expect(made.status, made.text).toBe(201);
      return made.body.id;
    },
    start: (user, sessionId, more = {}) => initialize(user, sessionId, { accountId: id, ...more }),
    finalize: (user, sessionId, actualTokens) =>
      user.post('/api/streaming-sessions/finalize', { sessionId, accountId: id, actualTokens }),
  };
}

/** The organisation's events in their order, and what they say. */
export async function eventsOf(service: TestService, id: string): Promise<[string, object][]> {
  const { rows } = await service.owner.query<{ type: string; data: object }>(
    'SELECT type, data FROM event_outbox WHERE account_id = $1 ORDER BY id',
    [id],
  );
  return rows.map(({ type, data }) => [type, data]);
}
