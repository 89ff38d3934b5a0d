import { answer, api, type Page, type Schemas } from './client';

export type Webhook = Schemas['WebhookDto'];
export type CreatedWebhook = Schemas['CreatedWebhookDto'];
export type Delivery = Schemas['DeliveryDto'];
export type DeliveryStatus = Delivery['status'];
export type EventType = Schemas['EventDto']['type'];

const LIMIT = 100;

const pathOf = (id: number) => ({ params: { path: { id } } });

export const webhooks = (cursor: string | undefined, signal?: AbortSignal): Promise<Page<Webhook>> =>
  answer(api.GET('/api/webhooks', { params: { query: { limit: LIMIT, ...given({ cursor }) } }, signal }));

export const webhook = (id: number, signal?: AbortSignal): Promise<Webhook> =>
  answer(api.GET('/api/webhooks/{id}', { ...pathOf(id), signal }));

export const createWebhook = (body: Schemas['CreateWebhookDto']): Promise<CreatedWebhook> =>
  answer(api.POST('/api/webhooks', { body }));

export const changeWebhook = (id: number, body: Schemas['UpdateWebhookDto']): Promise<Webhook> =>
  answer(api.PATCH('/api/webhooks/{id}', { ...pathOf(id), body }));

export const deleteWebhook = (id: number): Promise<unknown> =>
  answer(api.DELETE('/api/webhooks/{id}', pathOf(id)));

export const rotateSecret = (id: number, overlapSeconds: number): Promise<CreatedWebhook> =>
  answer(api.POST('/api/webhooks/{id}/rotate-secret', { ...pathOf(id), body: { overlapSeconds } }));

export const testWebhook = (id: number): Promise<Schemas['TestResultDto']> =>
  answer(api.POST('/api/webhooks/{id}/test', pathOf(id)));

export const deliveries = (
  id: number,
  status: DeliveryStatus | undefined,
  cursor: string | undefined,
  signal?: AbortSignal,
): Promise<Page<Delivery>> =>
  answer(
    api.GET('/api/webhooks/{id}/deliveries', {
      params: {
        path: { id },
        query: { limit: LIMIT, ...(status === undefined ? {} : { status }), ...given({ cursor }) },
      },
      signal,
    }),
  );

export const replayDelivery = (id: number, deliveryId: number): Promise<Delivery> =>
  answer(
    api.POST('/api/webhooks/{id}/deliveries/{deliveryId}/replay', { params: { path: { id, deliveryId } } }),
  );

/** All of it, however many calls that takes. @returns how many deliveries */
export async function replaySince(id: number, since: string): Promise<number> {
  let sum = 0;
  for (let cursor: string | undefined; ;) {
    const body = { since, ...given({ cursor }) };
    const { replayed, nextCursor } = await answer(
      api.POST('/api/webhooks/{id}/replay', { ...pathOf(id), body }),
    );
    sum += replayed;
    if (nextCursor === null) return sum;
    cursor = nextCursor;
  }
}

const given = ({ cursor }: { cursor: string | undefined }) => (cursor === undefined ? {} : { cursor });
