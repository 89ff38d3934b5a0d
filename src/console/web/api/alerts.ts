import { answer, api, type Page, type Schemas } from './client';

export type AlertRule = Schemas['AlertRuleDto'];
export type NewAlertRule = Schemas['CreateAlertRuleDto'];
export type AlertRuleChanges = Schemas['UpdateAlertRuleDto'];

const LIMIT = 100;
const pathOf = (id: number) => ({ params: { path: { id } } });

export const alertRules = (cursor: string | undefined, signal?: AbortSignal): Promise<Page<AlertRule>> =>
  answer(
    api.GET('/api/alert-rules', {
      params: { query: { limit: LIMIT, ...(cursor === undefined ? {} : { cursor }) } },
      signal,
    }),
  );

export const createAlertRule = (body: NewAlertRule): Promise<AlertRule> =>
  answer(api.POST('/api/alert-rules', { body }));

export const changeAlertRule = (id: number, body: AlertRuleChanges): Promise<AlertRule> =>
  answer(api.PATCH('/api/alert-rules/{id}', { ...pathOf(id), body }));

export const deleteAlertRule = (id: number): Promise<unknown> =>
  answer(api.DELETE('/api/alert-rules/{id}', pathOf(id)));

export const testAlertRule = (id: number): Promise<Schemas['TestResultDto']> =>
  answer(api.POST('/api/alert-rules/{id}/test', pathOf(id)));
