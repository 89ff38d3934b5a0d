import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { useAction } from '../api/hooks';
import {
  changeWebhook,
  type CreatedWebhook,
  deleteWebhook,
  testWebhook,
  type Webhook,
  webhook as readWebhook,
} from '../api/webhooks';
import { Confirm } from '../components/dialog';
import { SecretOnce } from '../components/secret-once';
import { toast } from '../components/toasts';
import { Button, Moment, PageHeader, Skeleton, Stat, Trouble } from '../components/ui';
import { plural } from '../format';
import { pathTo } from '../navigation';
import { Deliveries } from './webhook-deliveries';
import { ReplayMany, RotateSecret, WebhookForm } from './webhook-forms';
import { answerOf, counted, WebhookState } from './webhook-state';

const LOOK_MILLISECONDS = 3000;

type Opened = 'change' | 'rotate' | 'replay' | 'delete' | null;

export function WebhookPage({ id }: { id: string }) {
  const query = useQuery({
    queryKey: ['webhook', id],
    queryFn: ({ signal }) => readWebhook(Number(id), signal),
    refetchInterval: LOOK_MILLISECONDS,
  });
  const { data } = query;
  if (data === undefined)
    return (
      <>
        <PageHeader title="Webhook endpoint" />
        {query.error ? (
          <Trouble problem={query.error} retry={() => void query.refetch()} />
        ) : (
          <Skeleton rows={8} />
        )}
      </>
    );
  return <Endpoint key={id} webhook={data} />;
}

function Endpoint({ webhook }: { webhook: Webhook }) {
  const { route } = useLocation();
  const [opened, setOpened] = useState<Opened>(null);
  const [rotated, setRotated] = useState<CreatedWebhook | null>(null);
  const close = () => setOpened(null);
  const done = (text: string) => {
    toast(text, 'good');
    close();
  };
  const test = useAction(async () => {
    const { isDelivered, status, error, milliseconds } = await testWebhook(webhook.id);
    if (isDelivered) toast(`Test delivered: ${status}, ${milliseconds} ms`, 'good');
    else toast(`Test failed: ${error ?? status}`, 'bad');
  });
  const toggle = useAction(async () => {
    await changeWebhook(webhook.id, { isActive: !webhook.isActive });
    done(
      webhook.isActive ? 'Paused. Pending deliveries are kept' : 'Enabled. Pending deliveries are being sent',
    );
  });
  const remove = useAction(async () => {
    await deleteWebhook(webhook.id);
    toast('Endpoint deleted', 'good');
    route(pathTo('webhooks'));
  });
  const failed = test.problem ?? toggle.problem;
  return (
    <>
      <PageHeader title={webhook.url} sub={webhook.description ?? 'Webhook endpoint'}>
        <Button icon="send" isBusy={test.isBusy} onClick={() => void test.run()}>
          Send test
        </Button>
        <Button
          icon={webhook.isActive ? 'pause' : 'play'}
          isBusy={toggle.isBusy}
          onClick={() => void toggle.run()}
        >
          {webhook.isActive ? 'Pause' : 'Enable'}
        </Button>
        <Button icon="edit" onClick={() => setOpened('change')}>
          Edit
        </Button>
        <Button icon="rotate" onClick={() => setOpened('rotate')}>
          Rotate secret
        </Button>
        <Button
          icon="trash"
          onClick={() => {
            remove.forget();
            setOpened('delete');
          }}
        >
          Delete
        </Button>
      </PageHeader>
      {failed && <Trouble problem={failed} />}
      <SwitchedOff webhook={webhook} />
      <div class="stats small">
        <Stat
          label="State"
          value={<WebhookState webhook={webhook} />}
          note={<StateNote webhook={webhook} />}
        />
        <Stat
          label="Last attempt"
          value={webhook.lastAttemptAt === null ? 'none yet' : answerOf(webhook)}
          tone={webhook.lastError === null ? 'neutral' : 'bad'}
          note={webhook.lastAttemptAt !== null && <Moment at={webhook.lastAttemptAt} />}
        />
        <Stat label="Pending" value={counted(webhook.waitingDeliveries)} note="not delivered yet" />
        <Stat
          label="Failed permanently"
          value={counted(webhook.deadDeliveries)}
          tone={webhook.deadDeliveries > 0 ? 'bad' : 'neutral'}
          note="after more than a day of attempts"
        />
      </div>
      <Deliveries webhook={webhook} onReplayMany={() => setOpened('replay')} />
      {opened === 'change' && (
        <WebhookForm webhook={webhook} onClose={close} onChanged={() => done('Endpoint updated')} />
      )}
      {opened === 'rotate' && (
        <RotateSecret
          webhook={webhook}
          onClose={close}
          onDone={(next) => {
            setRotated(next);
            close();
          }}
        />
      )}
      {opened === 'replay' && (
        <ReplayMany
          webhook={webhook}
          onClose={close}
          onDone={(replayed) => done(`${plural(replayed, 'delivery', 'deliveries')} will be replayed`)}
        />
      )}
      {opened === 'delete' && (
        <Confirm
          title="Delete endpoint"
          action="Delete"
          isBusy={remove.isBusy}
          problem={remove.problem}
          onClose={close}
          onConfirm={() => void remove.run()}
        >
          <p>
            No more events will be delivered to <span class="mono anywhere">{webhook.url}</span>, and its
            pending deliveries are deleted. This cannot be undone. To keep them, pause the endpoint instead.
          </p>
        </Confirm>
      )}
      {rotated && (
        <SecretOnce
          title="New secret"
          secret={rotated.secret}
          testId="webhook-secret"
          onClose={() => setRotated(null)}
        >
          Copy the secret now: it is shown only once. The receiver uses it to verify that messages come from
          this service.
        </SecretOnce>
      )}
    </>
  );
}

function StateNote({ webhook: { isActive, failingSince, previousSecretUntil } }: { webhook: Webhook }) {
  const hasTwoSecrets = previousSecretUntil !== null && Date.parse(previousSecretUntil) > Date.now();
  return (
    <>
      {isActive && failingSince !== null && (
        <>
          since <Moment at={failingSince} exact />{' '}
        </>
      )}
      {hasTwoSecrets && (
        <>
          old secret expires <Moment at={previousSecretUntil} />
        </>
      )}
    </>
  );
}

function SwitchedOff({ webhook: { disabledReason, disabledAt, isActive } }: { webhook: Webhook }) {
  if (isActive || disabledReason === null || disabledAt === null) return null;
  return (
    <p class="note bad" role="status">
      The service disabled this endpoint <Moment at={disabledAt} />:{' '}
      {disabledReason === 'gone' ? 'it returned 410 Gone.' : 'all deliveries failed for five days.'} When the
      receiver works again, enable the endpoint and replay the missed events.
    </p>
  );
}
