// @module-tag two-instances
// @module-tag pooler
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holdUp } from '../support/hold-up.js';
import type { Answer } from '../support/http-client.js';
import { countByStatus, times } from '../support/money.js';
import { organisation, patch, type TestOrganisation } from '../support/organisations.js';
import { expectProblem } from '../support/problems.js';
import { startService, type TestService } from '../support/service.js';
import { snapshot } from '../support/snapshot.js';

let service: TestService;
let acme: TestOrganisation;
beforeAll(async () => {
  service = await startService();
  acme = await organisation(service);
});
afterAll(() => service.close());

/** Units one below the other. */
async function chain(on: TestOrganisation, ...names: string[]): Promise<number[]> {
  const ids: number[] = [];
  for (const name of names) ids.push(await on.unit(name, ids.at(-1)));
  return ids;
}

async function pathsOf(ids: number[]): Promise<number[][]> {
  const { rows } = await service.owner.query<{ path: string[] }>(
    'SELECT path FROM units WHERE id = ANY($1) ORDER BY array_position($1, id)',
    [ids],
  );
  return rows.map(({ path }) => path.map(Number));
}

describe('POST …/units', () => {
  it('201: at the top and below, with the path down to it; the tree counts members', async () => {
    const other = await organisation(service);
    const top = await other.owner.post<{ id: number }>(`${other.path}/units`, { name: 'Research' });
    expect(top.body).toEqual({
      id: top.body.id,
      name: 'Research',
      parentId: null,
      path: [top.body.id],
      createdAt: expect.any(String) as string,
    });
    const parentId = top.body.id;
    const below = await other.owner.post<{ id: number }>(`${other.path}/units`, { name: 'Labs', parentId });
    expect(below.body).toMatchObject({ parentId, path: [parentId, below.body.id] });
    const first = await other.unit('Archive');
    await other.member('member', { unitId: below.body.id });
    const member = await other.member('member', { unitId: below.body.id });
    const tree = await member.get(`${other.path}/units`);
    expect(tree.body).toEqual({
      items: [
        { id: first, name: 'Archive', parentId: null, members: 0, children: [] },
        {
          ...{ id: parentId, name: 'Research', parentId: null, members: 0 },
          children: [{ id: below.body.id, name: 'Labs', parentId, members: 2, children: [] }],
        },
      ],
    });
  });

  it('409: a name twice under one parent, also at once; elsewhere it is free', async () => {
    const parentId = await acme.unit('Names');
    for (const body of [{ name: 'Twice' }, { name: 'Twice', parentId }]) {
      const answers = await times(4, () => acme.owner.post(`${acme.path}/units`, body));
      expect(countByStatus(answers)).toEqual({ 201: 1, 409: 3 });
      const again = await acme.owner.post(`${acme.path}/units`, body);
      expectProblem(again, 409, { code: 'unit.name_taken', field: 'name' });
    }
  });

  it('201: the same answer again under an Idempotency-Key', async () => {
    const create = () =>
      acme.owner.post(`${acme.path}/units`, { name: 'Once' }, { 'idempotency-key': 'unit' });
    const first = await create();
    const again = await create();
    expect([again.status, again.body]).toEqual([201, first.body]);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
  });

  it('400: a sixth level, named by parentId', async () => {
    const ids = await chain(acme, '1', '2', '3', '4', '5');
    const sixth = await acme.owner.post(`${acme.path}/units`, { name: '6', parentId: ids[4] });
    expectProblem(sixth, 400, { code: 'validation.failed', field: 'parentId' });
  });

  it('404: a parent of another organisation, named by parentId', async () => {
    const parentId = await (await organisation(service)).unit('Theirs');
    const refused = await acme.owner.post(`${acme.path}/units`, { name: 'x', parentId });
    expectProblem(refused, 404, { code: 'unit.not_found', field: 'parentId' });
  });

  it('409: beyond 1,000 units', async () => {
    const other = await organisation(service);
    await service.owner.query(
      `INSERT INTO units (account_id, id, name, path) OVERRIDING SYSTEM VALUE
       SELECT $1::varchar, id, 'n' || id, ARRAY[id] FROM (SELECT nextval('units_id_seq') AS id FROM generate_series(1, 999)) n`,
      [other.id],
    );
    await other.unit('the last');
    const refused = await other.owner.post(`${other.path}/units`, { name: 'one more' });
    expectProblem(refused, 409, { code: 'unit.too_many' });
  });

  it.each([
    ['name', {}],
    ['name', { name: ' x' }],
    ['name', { name: 'x'.repeat(101) }],
    ['parentId', { name: 'x', parentId: 0 }],
    ['parentId', { name: 'x', parentId: '1' }],
  ])('400: names %s in %j', async (field, body) => {
    expectProblem(await acme.owner.post(`${acme.path}/units`, body), 400, { field });
  });
});

describe('PATCH …/units/:unitId', () => {
  it('200: renames; a move takes all below with it, and null brings them to the top', async () => {
    const [a, b, c] = (await chain(acme, 'a', 'b', 'c')) as [number, number, number];
    const to = await acme.unit('to');
    const path = `${acme.path}/units/${b}`;
    const renamed = await patch(acme.owner, path, { name: 'B' });
    expect(renamed.body).toMatchObject({ id: b, name: 'B', parentId: a, path: [a, b] });
    const moved = await patch(acme.owner, path, { parentId: to });
    expect(moved.body).toMatchObject({ id: b, name: 'B', parentId: to, path: [to, b] });
    expect(await pathsOf([a, b, c])).toEqual([[a], [to, b], [to, b, c]]);
    const top = await patch(acme.owner, path, { parentId: null, name: 'top' });
    expect(top.body).toMatchObject({ name: 'top', parentId: null, path: [b] });
    expect(await pathsOf([a, b, c])).toEqual([[a], [b], [b, c]]);
  });

  it('400: a move that makes a circle, or a sixth level of what is below; nothing has moved', async () => {
    const [a, b, c] = (await chain(acme, 'ca', 'cb', 'cc')) as [number, number, number];
    const deep = await chain(acme, 'd1', 'd2', 'd3');
    const before = await snapshot(service.owner);
    for (const [unit, parentId] of [
      [a, a],
      [a, b],
      [a, c],
      [a, deep[2]],
      [deep[0], c],
    ]) {
      const refused = await patch(acme.owner, `${acme.path}/units/${unit}`, { parentId });
      expectProblem(refused, 400, { code: 'validation.failed', field: 'parentId' });
    }
    expect(await snapshot(service.owner)).toEqual(before);
    // Five levels there may be.
    expect((await patch(acme.owner, `${acme.path}/units/${b}`, { parentId: deep[2] })).status).toBe(200);
    expect(await pathsOf([c])).toEqual([[...deep, b, c]]);
  });

  it('400: a circle of two moves at the same moment through two instances', async () => {
    const second = await service.another();
    const [a, b] = [await acme.unit('left'), await acme.unit('right')];
    const move = (unit: number, parentId: number, { url }: TestService) =>
      patch(acme.owner.at(url), `${acme.path}/units/${unit}`, { parentId });
    // A move waits there, after it has seen where the other unit is.
    const answers = await holdUp<Answer>(
      service,
      'SELECT FROM units WHERE account_id = $1 FOR UPDATE',
      [acme.id],
      [() => move(a, b, service), () => move(b, a, second)],
    );
    await second.close();
    expect(answers.map(({ status }) => status)).toEqual([200, 400]);
    expect(await pathsOf([a, b])).toEqual([[b, a], [b]]);
  });

  it('404: no such unit, or a parent elsewhere; 409: a name that is taken there', async () => {
    const [a, b] = [await acme.unit('na'), await acme.unit('nb')];
    const theirs = await (await organisation(service)).unit('Theirs');
    const path = `${acme.path}/units/${b}`;
    const none = await patch(acme.owner, `${acme.path}/units/${theirs}`, { name: 'x' });
    expectProblem(none, 404, { code: 'unit.not_found', field: 'unitId' });
    const elsewhere = await patch(acme.owner, path, { parentId: theirs });
    expectProblem(elsewhere, 404, { code: 'unit.not_found', field: 'parentId' });
    expectProblem(await patch(acme.owner, path, { name: 'na' }), 409, { code: 'unit.name_taken' });
    const inside = await acme.unit('nb', a);
    const moved = await patch(acme.owner, `${acme.path}/units/${inside}`, { parentId: null });
    expectProblem(moved, 409, { code: 'unit.name_taken', field: 'name' });
    expectProblem(await patch(acme.owner, `${acme.path}/units/x`, {}), 400, { field: 'unitId' });
  });
});

describe('DELETE …/units/:unitId', () => {
  it('409 with members or units below; then 204, and its budgets are deleted with it', async () => {
    const [above, below] = (await chain(acme, 'above', 'below')) as [number, number];
    const member = await acme.member('member', { unitId: below });
    await service.owner.query(
      `INSERT INTO budgets (account_id, scope, scope_id, unit, time_window, amount, set_by, created_by)
       SELECT $1::varchar, 'unit', id, 'credits', 'day', 5, 'account', 'x' FROM unnest($2::text[]) id`,
      [acme.id, [above, below]],
    );
    for (const id of [above, below])
      expectProblem(await acme.owner.delete(`${acme.path}/units/${id}`), 409, { code: 'unit.not_empty' });
    await patch(acme.owner, `${acme.path}/members/${member.userId}`, { unitId: null });
    const deleted = await acme.owner.delete(`${acme.path}/units/${below}`);
    expect(deleted.status, deleted.text).toBe(204);
    const { rows } = await service.owner.query(
      'SELECT scope_id FROM budgets WHERE account_id = $1 AND deleted_at IS NULL',
      [acme.id],
    );
    expect(rows).toEqual([{ scope_id: String(above) }]);
    const again = await acme.owner.delete(`${acme.path}/units/${below}`);
    expectProblem(again, 404, { code: 'unit.not_found' });
  });

  it('409 with a budget of the platform, but for supervisors', async () => {
    const [unit] = (await chain(acme, 'of the platform')) as [number];
    await acme.budget(
      { scope: 'unit', scopeId: String(unit), unit: 'credits', window: 'day', amount: 5 },
      acme.boss,
    );
    const path = `${acme.path}/units/${unit}`;
    expectProblem(await acme.owner.delete(path), 409, { code: 'unit.has_platform_budget' });
    expect((await acme.boss.delete(path)).status).toBe(204);
  });
});
