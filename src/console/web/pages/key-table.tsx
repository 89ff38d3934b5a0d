import { useState } from 'preact/hooks';
import { type AccountReader, isOrganisation } from '../api/accounts';
import { answer, api, type ApiKey, type CreatedApiKey } from '../api/client';
import { useAction, usePages } from '../api/hooks';
import { isAdmin, session } from '../api/session';
import { Confirm, Dialog, ProblemNote } from '../components/dialog';
import { Form, Select } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Badge, Button, CountNote, Credits, Empty, Moment } from '../components/ui';
import { CreatedKey } from './created-key';

const OVERLAPS: [seconds: string, text: string][] = [
  ['0', 'immediately'],
  ['3600', 'in 1 hour'],
  ['86400', 'in 1 day'],
  ['604800', 'in 1 week'],
];

interface KeyTableProps {
  reader: AccountReader;
  canRotate?: boolean;
  canRevoke?: boolean;
}

export function KeyTable({
  reader,
  canRotate = reader.isSelf,
  canRevoke = reader.isSelf || isAdmin.value,
}: KeyTableProps) {
  const { accountId } = reader;
  const pages = usePages(['keys', accountId], (cursor, signal) => reader.keys(cursor, signal));
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const [rotating, setRotating] = useState<ApiKey | null>(null);
  const [created, setCreated] = useState<CreatedApiKey | null>(null);
  const revoke = useAction(async (key: ApiKey) => {
    await answer(
      api.DELETE('/api/api-keys/{id}', { params: { path: { id: key.id }, query: { accountId } } }),
    );
    toast(`Key “${key.name}” (${key.keyHint}) revoked`, 'good');
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
          <Empty icon="keys" title="No API keys yet">
            A key lets a program act for this account with limited permissions.
          </Empty>
        }
        columns={[
          { header: 'Name', cell: (key) => <strong class="clip">{key.name}</strong> },
          ...(isOrganisation(accountId)
            ? [{ header: 'Made by', cell: (key: ApiKey) => <span class="clip short">{key.userId}</span> }]
            : []),
          {
            header: 'Key',
            cell: (key) => (
              <>
                <span class="mono">{key.keyHint}</span>{' '}
                <span class="hint" title="Its id in the ledger and in usage records">
                  #{key.id}
                </span>
              </>
            ),
          },
          {
            header: 'Permissions',
            cell: (key) => (
              <span class="clip short" title={key.permissions.join(', ')}>
                {key.permissions.join(', ') || 'none'}
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
                    aria-label={`Credit limit used by ${key.name}`}
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
                  {canRotate && key.userId === session.value?.userId && (
                    <Button
                      kind="quiet"
                      icon="rotate"
                      aria-label={`Rotate ${key.name}`}
                      title="Rotate"
                      onClick={() => setRotating(key)}
                    />
                  )}
                  {canRevoke && (
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
        <p class="hint count-note">“Last used” is updated once a minute.</p>
      )}
      {revoking && (
        <Confirm
          title={`Revoke “${revoking.name}”`}
          action="Revoke key"
          isBusy={revoke.isBusy}
          problem={revoke.problem}
          onClose={() => setRevoking(null)}
          onConfirm={() => void revoke.run(revoking)}
        >
          <p>
            Requests with <span class="mono">{revoking.keyHint}</span> will be refused immediately. This
            cannot be undone.
          </p>
        </Confirm>
      )}
      {rotating && (
        <Rotate
          accountId={accountId}
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
        expires <Moment at={item.expiresAt} />
      </Badge>
    );
  return <Badge tone="good">active</Badge>;
}

function Rotate({
  accountId,
  item,
  onClose,
  onDone,
}: {
  accountId: string;
  item: ApiKey;
  onClose: () => void;
  onDone: (key: CreatedApiKey) => void;
}) {
  const [overlap, setOverlap] = useState('86400');
  const rotate = useAction(async () => {
    onDone(
      await answer(
        api.POST('/api/api-keys/{id}/rotate', {
          params: { path: { id: item.id }, query: { accountId } },
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
          You get a new key with the same permissions and limit. The old key keeps working until the time you
          choose, so that you can switch programs over.
        </p>
        <Select label="Old key expires" value={overlap} options={OVERLAPS} onChange={setOverlap} />
      </Form>
    </Dialog>
  );
}
