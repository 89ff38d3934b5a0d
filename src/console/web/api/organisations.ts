import { answer, api, type Page, type Schemas } from './client';
import { isSupervisor } from './session';

export type Organisation = Schemas['OrganisationDto'];
export type Member = Schemas['MemberDto'];
export type MemberRole = Schemas['MemberRole'];
export type Unit = Schemas['UnitNodeDto'];
export type MyAccount = Schemas['MyAccountDto'];

const LIMIT = 100;

const pathOf = (id: string) => ({ params: { path: { id } } });

export const organisations = (
  cursor: string | undefined,
  signal?: AbortSignal,
): Promise<Page<Organisation>> =>
  answer(api.GET('/api/organisations', { params: { query: { limit: LIMIT, cursor } }, signal }));

export const organisation = (id: string, signal?: AbortSignal): Promise<Organisation> =>
  answer(api.GET('/api/organisations/{id}', { ...pathOf(id), signal }));

export const createOrganisation = (
  body: Schemas['CreateOrganisationDto'],
  key: string,
): Promise<Organisation> =>
  answer(api.POST('/api/organisations', { params: { header: { 'Idempotency-Key': key } }, body }));

export const renameOrganisation = (id: string, name: string): Promise<Organisation> =>
  answer(api.PATCH('/api/organisations/{id}', { ...pathOf(id), body: { name } }));

export const archiveOrganisation = (id: string): Promise<Organisation> =>
  answer(api.POST('/api/organisations/{id}/archive', pathOf(id)));

/** What the person who has signed in may spend from, with their role there. */
export const myAccounts = {
  queryKey: ['my-accounts'],
  queryFn: ({ signal }: { signal: AbortSignal }): Promise<MyAccount[]> =>
    answer(api.GET('/api/accounts/mine', { signal })),
};

/** What a person sees and may do in an organisation; the API decides. */
export interface Rights {
  /** Everyone's usage and budgets, and the members. */
  seesAll: boolean;
  manages: boolean;
  archives: boolean;
  leaves: boolean;
  /** As a member: its API keys spend in their maker's name. */
  makesKeys: boolean;
}

/** @param role in the organisation; undefined: no member of it */
export function rightsOf(role: MemberRole | undefined, isArchived: boolean): Rights {
  const manages = isSupervisor.value || role === 'owner' || role === 'admin';
  return {
    seesAll: manages || role === 'billing',
    manages: manages && !isArchived,
    archives: (isSupervisor.value || role === 'owner') && !isArchived,
    leaves: role !== undefined && !isArchived,
    makesKeys: role !== undefined && role !== 'billing' && !isArchived,
  };
}

export const members = (
  id: string,
  cursor: string | undefined,
  signal?: AbortSignal,
): Promise<Page<Member>> =>
  answer(
    api.GET('/api/organisations/{id}/members', {
      params: { path: { id }, query: { limit: LIMIT, cursor } },
      signal,
    }),
  );

export const addMember = (id: string, body: Schemas['AddMemberDto'], key: string): Promise<Member> =>
  answer(
    api.POST('/api/organisations/{id}/members', {
      params: { path: { id }, header: { 'Idempotency-Key': key } },
      body,
    }),
  );

const memberPath = (id: string, userId: string) => ({ params: { path: { id, userId } } });

export const changeMember = (id: string, userId: string, body: Schemas['ChangeMemberDto']): Promise<Member> =>
  answer(api.PATCH('/api/organisations/{id}/members/{userId}', { ...memberPath(id, userId), body }));

export const removeMember = (id: string, userId: string): Promise<unknown> =>
  answer(api.DELETE('/api/organisations/{id}/members/{userId}', memberPath(id, userId)));

export const units = (id: string, signal?: AbortSignal): Promise<{ items: Unit[] }> =>
  answer(api.GET('/api/organisations/{id}/units', { ...pathOf(id), signal }));

export const addUnit = (id: string, body: Schemas['CreateUnitDto'], key: string): Promise<unknown> =>
  answer(
    api.POST('/api/organisations/{id}/units', {
      params: { path: { id }, header: { 'Idempotency-Key': key } },
      body,
    }),
  );

const unitPath = (id: string, unitId: number) => ({ params: { path: { id, unitId } } });

export const changeUnit = (id: string, unitId: number, body: Schemas['ChangeUnitDto']): Promise<unknown> =>
  answer(api.PATCH('/api/organisations/{id}/units/{unitId}', { ...unitPath(id, unitId), body }));

export const deleteUnit = (id: string, unitId: number): Promise<unknown> =>
  answer(api.DELETE('/api/organisations/{id}/units/{unitId}', unitPath(id, unitId)));

/** Each unit with its place in the tree: `Research / Vision`. */
export const unitPaths = (tree: readonly Unit[], above = ''): { unit: Unit; path: string }[] =>
  tree.flatMap((unit) => [
    { unit, path: above + unit.name },
    ...unitPaths(unit.children, `${above}${unit.name} / `),
  ]);
