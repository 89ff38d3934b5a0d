import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction, usePages } from '../api/hooks';
import {
  deliveries,
  type Delivery,
  type DeliveryStatus,
  replayDelivery,
  type Webhook,
} from '../api/webhooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { type Fact, Facts } from '../components/facts';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Button, Card, CountNote, Empty, Moment, Segmented, AccountLink } from '../components/ui';
import { time } from '../format';
import { useSearch } from '../navigation';
import { answerOf, DeliveryState } from './webhook-state';

type Shown = DeliveryStatus | 'all';
const FILTERS = [
  ['all', 'All'],
  ['pending', 'Pending'],
  ['delivered', 'Delivered'],
  ['dead', 'Failed permanently'],
] as const satisfies readonly (readonly [Shown, string])[];
const PAGE = 100;

interface DeliveriesProps {
  webhook: Webhook;
  onReplayMany: () => void;
}

export function Deliveries({ webhook, onReplayMany }: DeliveriesProps) {
  const { search, setSearch } = useSearch();
  const wanted = search.status;
  const status: Shown = FILTERS.find(([name]) => name === wanted)?.[0] ?? 'all';
  const pages = usePages<Delivery>(['deliveries', webhook.id, status], (cursor, signal) =>
    deliveries(webhook.id, status === 'all' ? undefined : status, cursor, signal),
  );
  const [shown, setShown] = useState<Delivery | null>(null);
  const replay = useAction(async ({ id, eventType }: Delivery) => {
    await replayDelivery(webhook.id, id);
    toast(`${eventType} will be replayed`, 'good');
    setShown(null);
  });
  useFollow(webhook, pages.rows.length <= PAGE, pages.refresh);
  return (
    <Card
      title="Deliveries"
      hint="Newest first"
      actions={
        <>
          <Segmented
            label="Deliveries by state"
            value={status}
            options={FILTERS}
            onChange={(next) => setSearch({ status: next === 'all' ? null : next })}
          />
          <Button icon="rotate" disabled={!webhook.isActive} onClick={onReplayMany}>
            Replay missed
          </Button>
        </>
      }
    >
      {replay.problem && shown === null && <ProblemNote problem={replay.problem} />}
      <Table
        {...pages}
        caption="Deliveries, newest first"
        keyOf={({ id }) => id}
        empty={
          <Empty icon="send" title={status === 'all' ? 'No deliveries yet' : 'No matching deliveries'}>
            {status === 'all'
              ? 'The next event for this endpoint appears here. Send a test to check that it can be reached.'
              : 'Choose another filter to see other deliveries.'}
          </Empty>
        }
        columns={[
          { header: 'When', cell: ({ createdAt }) => <Moment at={createdAt} />, isWide: true },
          {
            header: 'Event',
            cell: (item) => (
              <button
                type="button"
                class="link"
                aria-label={`Details of delivery ${item.id}, ${item.eventType}`}
                onClick={() => {
                  replay.forget();
                  setShown(item);
                }}
              >
                {item.eventType}
              </button>
            ),
          },
          { header: 'Account', cell: ({ userId }) => <AccountLink accountId={userId} />, isWide: true },
          { header: 'State', cell: (item) => <DeliveryState delivery={item} /> },
          { header: 'Attempts', cell: ({ attempts }) => attempts, isNumber: true, isWide: true },
          { header: 'Response', cell: (item) => <span class="clip">{answerOf(item)}</span>, isWide: true },
          {
            header: <span class="unseen">Actions</span>,
            cell: (item) => (
              <Button
                kind="quiet"
                icon="rotate"
                aria-label={`Replay delivery ${item.id}`}
                title="Replay"
                disabled={!webhook.isActive || replay.isBusy}
                onClick={() => void replay.run(item)}
              />
            ),
            isNumber: true,
          },
        ]}
      />
      <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="delivery" many="deliveries" />
      {shown && (
        <DeliveryDetail delivery={shown} onClose={() => setShown(null)}>
          {replay.problem && <ProblemNote problem={replay.problem} />}
          <footer class="dialog-footer">
            <Button
              icon="rotate"
              isBusy={replay.isBusy}
              disabled={!webhook.isActive}
              onClick={() => void replay.run(shown)}
            >
              Replay
            </Button>
          </footer>
        </DeliveryDetail>
      )}
    </Card>
  );
}

/** Reads the list again when the endpoint shows a new attempt, unless a person has read further down. */
function useFollow(webhook: Webhook, isAtTop: boolean, refresh: () => void): void {
  const { lastAttemptAt, waitingDeliveries, deadDeliveries } = webhook;
  const state = `${lastAttemptAt} ${waitingDeliveries} ${deadDeliveries}`;
  const before = useRef(state);
  useEffect(() => {
    if (before.current === state) return;
    before.current = state;
    if (isAtTop) refresh();
  }, [state, isAtTop]);
}

interface DeliveryDetailProps {
  delivery: Delivery;
  onClose: () => void;
  children: ComponentChildren;
}

function DeliveryDetail({ delivery, onClose, children }: DeliveryDetailProps) {
  const facts: Fact[] = [
    ['Event', `${delivery.eventType}, #${delivery.eventId}`],
    ['webhook-id', delivery.webhookId],
    ['User', delivery.userId],
    ['Published', time(delivery.createdAt)],
    ['Attempts', delivery.attempts],
    ['Last attempt', delivery.lastAttemptAt && time(delivery.lastAttemptAt)],
    ['Response', delivery.lastStatus],
    ['Error', delivery.lastError],
    ['Delivered', delivery.deliveredAt && time(delivery.deliveredAt)],
    ['Next attempt for this user', delivery.nextAttemptAt && time(delivery.nextAttemptAt)],
  ];
  return (
    <Dialog title={`Delivery ${delivery.id}`} onClose={onClose}>
      <div class="dialog-body">
        <p>
          <DeliveryState delivery={delivery} />
        </p>
        <Facts facts={facts} />
        <p class="hint">Only the status of the response is stored.</p>
      </div>
      {children}
    </Dialog>
  );
}
