import { useState } from 'preact/hooks';
import type { AccountReader } from '../api/accounts';
import { answer, api, type ApiKey, type CreatedApiKey } from '../api/client';
import { useAction, usePages } from '../api/hooks';
import { isAdmin } from '../api/session';
import { Confirm, Dialog, ProblemNote } from '../components/dialog';
import { Form, Select } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Badge, Button, CountNote, Credits, Empty, Moment } from '../components/ui';
import { CreatedKey } from './created-key';

const OVERLAPS: [seconds: string, text: string][] = [
  ['0', 'at once'],
  ['3600', 'after an hour'],
  ['86400', 'after a day'],
  ['604800', 'after a week'],
];

export function KeyTable({ reader }: { reader: AccountReader }) {
  const pages = usePages(['keys', reader.userId], (cursor, signal) => reader.keys(cursor, signal));
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const [rotating, setRotating] = useState<ApiKey | null>(null);
  const [created, setCreated] = useState<CreatedApiKey | null>(null);
  const revoke = useAction(async (key: ApiKey) => {
    await answer(api.DELETE('/api/api-keys/{id}', { params: { path: { id: key.id } } }));
    toast(`${key.keyHint} of “${key.name}” no longer works`, 'good');
    setRevoking(null);
  });
  return (
    <>
      <Table
        {...pages}
        caption="API keys"
        keyOf={(key) => key.id}
        rowClass={(key) => (key.isActive ? '' : 'past')}
        empty={
          <Empty icon="keys" title="No API key yet">
            A key lets a program act for this account, with as little as it needs.
          </Empty>
        }
        columns={[
          { header: 'Name', cell: (key) => <strong class="clip">{key.name}</strong> },
          {
            header: 'Key',
            cell: (key) => (
              <>
                <span class="mono">{key.keyHint}</span>{' '}
                <span class="hint" title="As the ledger and the usage records name it">
                  #{key.id}
                </span>
              </>
            ),
          },
          {
            header: 'May',
            cell: (key) => (
              <span class="clip" title={key.permissions.join(', ')}>
                {key.permissions.join(', ') || 'nothing'}
              </span>
            ),
            isWide: true,
          },
          {
            header: 'Credits used',
            cell: (key) =>
              key.creditLimit === null ? (
                <Credits value={key.creditsUsed} />
              ) : (
                <span class="meter-cell">
                  <span class="number">
                    <Credits value={key.creditsUsed} /> / <Credits value={key.creditLimit} />
                  </span>
                  <meter
                    min={0}
                    max={Math.max(1, key.creditLimit)}
                    value={key.creditsUsed}
                    aria-label={`Used of the limit of ${key.name}`}
                  />
                </span>
              ),
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Last used',
            cell: (key) => (key.lastUsed === null ? 'never' : <Moment at={key.lastUsed} />),
            isWide: true,
          },
          { header: 'State', cell: (key) => <KeyState item={key} /> },
          {
            header: <span class="unseen">Actions</span>,
            cell: (key) =>
              key.isActive && (
                <span class="row-actions">
                  {reader.isSelf && (
                    <Button
                      kind="quiet"
                      icon="rotate"
                      aria-label={`Rotate ${key.name}`}
                      title="Rotate"
                      onClick={() => setRotating(key)}
                    />
                  )}
                  {(reader.isSelf || isAdmin.value) && (
                    <Button
                      kind="quiet"
                      icon="trash"
                      aria-label={`Revoke ${key.name}`}
                      title="Revoke"
                      onClick={() => {
                        revoke.forget();
                        setRevoking(key);
                      }}
                    />
                  )}
                </span>
              ),
            isNumber: true,
          },
        ]}
      />
      <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="key" />
      {pages.rows.some((key) => key?.isActive && key.lastUsed === null) && (
        <p class="hint count-note">
          The last use is written once a minute: what has just been used shows soon.
        </p>
      )}
      {revoking && (
        <Confirm
          title={`Revoke “${revoking.name}”`}
          action="Revoke the key"
          isBusy={revoke.isBusy}
          problem={revoke.problem}
          onClose={() => setRevoking(null)}
          onConfirm={() => void revoke.run(revoking)}
        >
          <p>
            Programs that use <span class="mono">{revoking.keyHint}</span> are refused from their next request
            on, everywhere. This cannot be undone.
          </p>
        </Confirm>
      )}
      {rotating && (
        <Rotate
          item={rotating}
          onClose={() => setRotating(null)}
          onDone={(key) => {
            setRotating(null);
            setCreated(key);
          }}
        />
      )}
      {created && <CreatedKey created={created} onClose={() => setCreated(null)} />}
    </>
  );
}

function KeyState({ item }: { item: ApiKey }) {
  if (!item.isActive)
    return (
      <Badge>
        {item.expiresAt !== null && Date.parse(item.expiresAt) <= Date.now() ? 'expired' : 'revoked'}
      </Badge>
    );
  if (item.expiresAt !== null)
    return (
      <Badge tone="warn">
        ends <Moment at={item.expiresAt} />
      </Badge>
    );
  return <Badge tone="good">active</Badge>;
}

function Rotate({
  item,
  onClose,
  onDone,
}: {
  item: ApiKey;
  onClose: () => void;
  onDone: (key: CreatedApiKey) => void;
}) {
  const [overlap, setOverlap] = useState('86400');
  const rotate = useAction(async () => {
    onDone(
      await answer(
        api.POST('/api/api-keys/{id}/rotate', {
          params: { path: { id: item.id } },
          body: { overlapSeconds: Number(overlap) },
        }),
      ),
    );
  });
  return (
    <Dialog title={`Rotate “${item.name}”`} onClose={onClose} isLocked={rotate.isBusy}>
      <Form action="Rotate" isBusy={rotate.isBusy} onSubmit={() => void rotate.run()} onCancel={onClose}>
        {rotate.problem && <ProblemNote problem={rotate.problem} />}
        <p>
          You get a new key with the same permissions and the same limit. The old one stops when you say, so
          that programs can be moved over in peace.
        </p>
        <Select label="The old key stops" value={overlap} options={OVERLAPS} onChange={setOverlap} />
      </Form>
    </Dialog>
  );
}
