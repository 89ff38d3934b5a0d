import { useState } from 'preact/hooks';
import { answer, api, type Schemas } from '../api/client';
import { useAction, usePages } from '../api/hooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { type Fact, Facts } from '../components/facts';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Badge, Button, Card, CountNote, Empty, Moment, PageHeader } from '../components/ui';
import { plural, time } from '../format';

type Waiting = Schemas['QuarantinedEventDto'];
type Counts = Schemas['EventCountsDto'];
const LIMIT = 100;

const REASONS: Record<Waiting['reason'], string> = {
  unknown_user: 'unknown user',
  not_understood: 'invalid payload',
  refused: 'refused',
};

/** Calls reported by a gateway that could not be charged. */
export function Quarantine() {
  const pages = usePages<Waiting>(['quarantine'], (cursor, signal) =>
    answer(
      api.GET('/api/integrations/litellm/quarantine', {
        params: { query: { limit: LIMIT, ...(cursor === undefined ? {} : { cursor }) } },
        signal,
      }),
    ),
  );
  const [shown, setShown] = useState<Waiting | null>(null);
  const replay = useAction(async () => {
    const counts = await answer(api.POST('/api/integrations/litellm/quarantine/replay'));
    toast(outcomeOf(counts), counts.quarantined === 0 ? 'good' : 'warn');
  });
  return (
    <>
      <PageHeader title="Quarantine" sub="Finished calls reported by LiteLLM that could not be charged yet">
        <Button
          kind="primary"
          icon="rotate"
          isBusy={replay.isBusy}
          disabled={pages.rows.length === 0}
          onClick={() => void replay.run()}
        >
          Retry all
        </Button>
      </PageHeader>
      <Card>
        {replay.problem && <ProblemNote problem={replay.problem} />}
        <Table
          {...pages}
          caption="Calls in quarantine, oldest first"
          keyOf={({ id }) => id}
          empty={
            <Empty icon="inbox" title="Quarantine is empty">
              Calls by unknown users are kept here and charged automatically when the user appears.
            </Empty>
          }
          columns={[
            { header: 'Received', cell: ({ createdAt }) => <Moment at={createdAt} />, isWide: true },
            {
              header: 'Call',
              cell: (item) => (
                <button
                  type="button"
                  class="link clip"
                  aria-label={`Details of call ${item.id}, ${nameOf(item)}`}
                  onClick={() => setShown(item)}
                >
                  {nameOf(item)}
                </button>
              ),
            },
            {
              header: 'Claimed user',
              cell: ({ claimedUser }) => <span class="clip">{claimedUser ?? 'none'}</span>,
            },
            {
              header: 'Reason',
              cell: ({ reason, detail }) => (
                <span title={detail ?? ''}>
                  <Badge tone={reason === 'unknown_user' ? 'warn' : 'bad'}>{REASONS[reason]}</Badge>
                </span>
              ),
            },
            {
              header: 'Last attempt',
              cell: ({ attemptedAt }) => (attemptedAt === null ? 'never' : <Moment at={attemptedAt} />),
              isWide: true,
            },
          ]}
        />
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="call" />
      </Card>
      {shown && <Detail item={shown} onClose={() => setShown(null)} />}
    </>
  );
}

const nameOf = ({ id, event }: Waiting): string =>
  (event as Record<string, string | null | undefined>).model ?? `#${id}`;

function outcomeOf({ accepted, duplicates, review, quarantined, ignored }: Counts): string {
  const settled = accepted + duplicates + review + ignored;
  const parts = [
    plural(accepted, 'call') + ' charged',
    ...(review > 0 ? [`${review} to review`] : []),
    ...(settled - accepted - review > 0 ? [`${settled - accepted - review} with nothing to charge`] : []),
    ...(quarantined > 0 ? [plural(quarantined, 'call') + ' still in quarantine'] : []),
  ];
  return parts.join(', ');
}

function Detail({ item, onClose }: { item: Waiting; onClose: () => void }) {
  const facts: Fact[] = [
    ['Received', time(item.createdAt)],
    ['Claimed user', item.claimedUser],
    ['Detail', item.detail],
    ['Last attempt', item.attemptedAt && time(item.attemptedAt)],
    ['Fingerprint', item.fingerprint],
  ];
  return (
    <Dialog title={`Call ${item.id} in quarantine`} onClose={onClose}>
      <div class="dialog-body">
        <p>
          <Badge tone={item.reason === 'unknown_user' ? 'warn' : 'bad'}>{REASONS[item.reason]}</Badge>
        </p>
        <Facts facts={facts} />
        <h3>Payload from LiteLLM</h3>
        <pre tabIndex={0}>{JSON.stringify(item.event, null, 2)}</pre>
        <p class="hint">Prompts and responses are not stored.</p>
      </div>
    </Dialog>
  );
}
