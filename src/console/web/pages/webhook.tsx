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
    if (isDelivered) toast(`The test was taken: ${status}, ${milliseconds} ms`, 'good');
    else toast(`The test failed: ${error ?? status}`, 'bad');
  });
  const toggle = useAction(async () => {
    await changeWebhook(webhook.id, { isActive: !webhook.isActive });
    done(webhook.isActive ? 'Paused: what waits stays' : 'Switched on: what waits is delivered');
  });
  const remove = useAction(async () => {
    await deleteWebhook(webhook.id);
    toast('The endpoint is deleted', 'good');
    route(pathTo('webhooks'));
  });
  const failed = test.problem ?? toggle.problem;
  return (
    <>
      <PageHeader title={webhook.url} sub={webhook.description ?? 'Webhook endpoint'}>
        <Button icon="send" isBusy={test.isBusy} onClick={() => void test.run()}>
          Send a test
        </Button>
        <Button
          icon={webhook.isActive ? 'pause' : 'play'}
          isBusy={toggle.isBusy}
          onClick={() => void toggle.run()}
        >
          {webhook.isActive ? 'Pause' : 'Switch on'}
        </Button>
        <Button icon="edit" onClick={() => setOpened('change')}>
          Change
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
        <Stat label="Waits" value={counted(webhook.waitingDeliveries)} note="to be delivered" />
        <Stat
          label="Given up"
          value={counted(webhook.deadDeliveries)}
          tone={webhook.deadDeliveries > 0 ? 'bad' : 'neutral'}
          note="after more than a day of attempts"
        />
      </div>
      <Deliveries webhook={webhook} onReplayMany={() => setOpened('replay')} />
      {opened === 'change' && (
        <WebhookForm webhook={webhook} onClose={close} onChanged={() => done('The endpoint is changed')} />
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
          onDone={(replayed) => done(`${plural(replayed, 'delivery', 'deliveries')} will be made again`)}
        />
      )}
      {opened === 'delete' && (
        <Confirm
          title="Delete the endpoint"
          action="Delete"
          isBusy={remove.isBusy}
          problem={remove.problem}
          onClose={close}
          onConfirm={() => void remove.run()}
        >
          <p>
            Nothing is delivered to <span class="mono anywhere">{webhook.url}</span> any more, and what still
            waits for it goes with it. This cannot be undone; pausing keeps what waits.
          </p>
        </Confirm>
      )}
      {rotated && (
        <SecretOnce
          title="The new secret"
          secret={rotated.secret}
          testId="webhook-secret"
          onClose={() => setRotated(null)}
        >
          Copy it now: it is shown this once. The receiver needs it to see that a message comes from here.
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
          since <Moment at={failingSince} />{' '}
        </>
      )}
      {hasTwoSecrets && (
        <>
          old secret until <Moment at={previousSecretUntil} />
        </>
      )}
    </>
  );
}

function SwitchedOff({ webhook: { disabledReason, disabledAt, isActive } }: { webhook: Webhook }) {
  if (isActive || disabledReason === null || disabledAt === null) return null;
  return (
    <p class="note bad" role="status">
      The service switched it off <Moment at={disabledAt} />:{' '}
      {disabledReason === 'gone'
        ? 'it answered 410, gone.'
        : 'it had failed for five days without a success.'}{' '}
      When the receiver works again, switch it on, then replay what it missed.
    </p>
  );
}
