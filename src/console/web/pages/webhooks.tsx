import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { usePages } from '../api/hooks';
import { type CreatedWebhook, type Webhook, webhooks } from '../api/webhooks';
import { SecretOnce } from '../components/secret-once';
import { Table } from '../components/table';
import { Button, Card, CountNote, Empty, Moment, PageHeader } from '../components/ui';
import { pathTo, useOpen } from '../navigation';
import { WebhookForm } from './webhook-forms';
import { answerOf, counted, WebhookState } from './webhook-state';

export function Webhooks() {
  const { route } = useLocation();
  const pages = usePages<Webhook>(['webhooks'], webhooks);
  const [open, setOpen] = useOpen<'endpoint'>();
  const [created, setCreated] = useState<CreatedWebhook | null>(null);
  return (
    <>
      <PageHeader title="Webhooks" sub="Endpoints that receive events as they happen">
        <Button kind="primary" icon="plus" onClick={() => setOpen('endpoint')}>
          New endpoint
        </Button>
      </PageHeader>
      <Card>
        <Table
          {...pages}
          caption="Webhook endpoints"
          keyOf={({ id }) => id}
          rowClass={({ isActive }) => (isActive ? '' : 'past')}
          empty={
            <Empty icon="send" title="No endpoints yet">
              Create an endpoint to notify other systems, for example when credits run low or a call needs
              review.
            </Empty>
          }
          columns={[
            {
              header: 'Endpoint',
              cell: (item) => (
                <a href={pathTo('webhooks', String(item.id))} class="user-cell" title={item.url}>
                  <strong class="clip">{item.url}</strong>
                  {item.description !== null && <span class="hint clip">{item.description}</span>}
                </a>
              ),
            },
            { header: 'Events', cell: (item) => <Types item={item} />, isWide: true },
            { header: 'State', cell: (item) => <WebhookState webhook={item} /> },
            {
              header: 'Last attempt',
              cell: (item) => (
                <>
                  {answerOf(item)} {item.lastAttemptAt !== null && <Moment at={item.lastAttemptAt} />}
                </>
              ),
              isWide: true,
            },
            {
              header: 'Pending',
              cell: (item) => counted(item.waitingDeliveries),
              isNumber: true,
              isWide: true,
            },
            {
              header: 'Failed permanently',
              cell: (item) => counted(item.deadDeliveries),
              isNumber: true,
              isWide: true,
            },
          ]}
        />
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="endpoint" />
      </Card>
      {open === 'endpoint' && (
        <WebhookForm
          onClose={() => setOpen(null)}
          onCreated={(webhook) => {
            setOpen(null);
            setCreated(webhook);
          }}
        />
      )}
      {created && (
        <SecretOnce
          title="Endpoint secret"
          secret={created.secret}
          testId="webhook-secret"
          onClose={() => {
            setCreated(null);
            route(pathTo('webhooks', String(created.id)));
          }}
        >
          Copy the secret now: it is shown only once. The receiver uses it to verify that messages come from
          this service.
        </SecretOnce>
      )}
    </>
  );
}

function Types({ item: { eventTypes } }: { item: Webhook }) {
  if (eventTypes === null) return <>all events</>;
  const text = eventTypes.join(', ');
  return (
    <span class="clip" title={text}>
      {text}
    </span>
  );
}
