import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { answer, api, type UsageRecord } from '../api/client';
import { readerOf } from '../api/accounts';
import { searched, useAction, usePages } from '../api/hooks';
import { toProblem } from '../api/problem';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, parseWhole } from '../components/form';
import { SearchField } from '../components/search';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Button, Card, CountNote, Credits, Empty, Moment, PageHeader, UserLink } from '../components/ui';
import { plural, whole } from '../format';
import { useSearch } from '../navigation';
import { OPERATION } from './usage-table';

type Decision = 'bill' | 'waive';
const LIMIT = 100;

export function Review() {
  const { search, setSearch } = useSearch();
  const pages = usePages<UsageRecord>(
    ['review'],
    async (cursor, signal) => {
      const { items, nextCursor } = await answer(
        api.GET('/api/usage/needs-review', {
          params: { query: { limit: LIMIT, ...(cursor === undefined ? {} : { cursor }) } },
          signal,
        }),
      );
      return { items, nextCursor: nextCursor ?? null };
    },
    { keepsAll: true },
  );
  const [chosen, setChosen] = useState<ReadonlySet<number>>(new Set());
  const [deciding, setDeciding] = useState<{ decision: Decision; records: UsageRecord[] } | null>(null);
  const text = search.search ?? '';
  const wanted = text.trim().toLowerCase();
  const rows = searched(
    pages,
    wanted,
    ({ accountId, userId, operation }) => `${accountId} ${userId} ${operation}`,
  );
  const selected = rows.filter(({ id }) => chosen.has(id));
  const areAll = rows.length > 0 && selected.length === rows.length;
  const toggle = (id: number, isOn: boolean) =>
    setChosen((before) => {
      const next = new Set(before);
      if (isOn) next.add(id);
      else next.delete(id);
      return next;
    });
  return (
    <>
      <PageHeader
        title="Review"
        sub="Finished calls that the balance did not cover: bill or waive the uncollected credits"
      >
        <Button
          disabled={selected.length === 0}
          onClick={() => setDeciding({ decision: 'waive', records: selected })}
        >
          {`Waive ${selected.length || ''}`}
        </Button>
        <Button
          kind="primary"
          disabled={selected.length === 0}
          onClick={() => setDeciding({ decision: 'bill', records: selected })}
        >
          {`Bill ${selected.length || ''}`}
        </Button>
      </PageHeader>
      <SearchField
        label="Search calls to review"
        value={text}
        onChange={(value) => setSearch({ search: value })}
        placeholder="User, model or operation"
      />
      <Card>
        <Table
          {...pages}
          rows={rows}
          caption="Calls to review"
          keyOf={(record) => record.id}
          onOpen={(record) => setSearch({ record: String(record.id) })}
          empty={
            wanted === '' ? (
              <Empty icon="check" title="No calls to review">
                All finished calls are paid.
              </Empty>
            ) : (
              <Empty title={`No calls to review match “${text.trim()}”`} />
            )
          }
          columns={[
            {
              header: (
                <input
                  type="checkbox"
                  aria-label="Select all shown"
                  checked={areAll}
                  onChange={(event) =>
                    setChosen(new Set(event.currentTarget.checked ? rows.map(({ id }) => id) : []))
                  }
                />
              ),
              label: 'Selected',
              cell: (record) => (
                <input
                  type="checkbox"
                  aria-label={`Select record ${record.id}`}
                  checked={chosen.has(record.id)}
                  onChange={(event) => toggle(record.id, event.currentTarget.checked)}
                />
              ),
            },
            { header: 'When', cell: (record) => <Moment at={record.timestamp} exact />, isWide: true },
            { header: 'User', cell: (record) => <UserLink userId={record.userId} /> },
            {
              header: OPERATION,
              cell: (record) => (
                <button
                  type="button"
                  class="link clip"
                  onClick={() => setSearch({ record: String(record.id) })}
                >
                  {record.operation}
                </button>
              ),
              isWide: true,
            },
            {
              header: 'Cost',
              cell: (record) => <Credits value={record.credits} />,
              isNumber: true,
              isWide: true,
            },
            {
              header: 'Uncollected',
              cell: (record) => (
                <strong>
                  <Credits value={record.uncollectedCredits} />
                </strong>
              ),
              isNumber: true,
            },
            {
              header: <span class="unseen">Actions</span>,
              cell: (record) => (
                <span class="row-actions">
                  <Button
                    kind="quiet"
                    aria-label={`Waive record ${record.id}`}
                    onClick={() => setDeciding({ decision: 'waive', records: [record] })}
                  >
                    Waive
                  </Button>
                  <Button
                    kind="quiet"
                    aria-label={`Bill record ${record.id}`}
                    onClick={() => setDeciding({ decision: 'bill', records: [record] })}
                  >
                    Bill
                  </Button>
                </span>
              ),
              isNumber: true,
            },
          ]}
        />
        <CountNote count={rows.length} hasMore={pages.hasMore} one="call" />
      </Card>
      {deciding && (
        <Decide
          {...deciding}
          onClose={() => setDeciding(null)}
          onDone={(isAny) => {
            if (isAny) setChosen(new Set());
          }}
        />
      )}
    </>
  );
}

interface DecideProps {
  decision: Decision;
  records: UsageRecord[];
  onClose: () => void;
  onDone: (isAny: boolean) => void;
}

interface Outcome {
  done: number;
  refused: { record: UsageRecord; why: string }[];
}

/** Settles the calls one after the other: a refusal does not stop the others. */
function Decide({ decision, records, onClose, onDone }: DecideProps) {
  const only = records.length === 1 ? records[0] : undefined;
  const missing = records.reduce((sum, record) => sum + record.uncollectedCredits, 0);
  const [credits, setCredits] = useState('');
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [isFinished, setFinished] = useState(false);
  const amount = credits === '' ? undefined : parseWhole(credits);
  const settle = useAction(async () => {
    const now: Outcome = { done: 0, refused: [] };
    const settleOne = (record: UsageRecord) =>
      answer(
        api.POST('/api/usage/records/{id}/review', {
          params: { path: { id: record.id } },
          body: {
            action: decision,
            version: record.version,
            ...(typeof amount === 'number' ? { credits: amount } : {}),
          },
        }),
      );
    if (only !== undefined) {
      await settleOne(only);
      const credits = plural(amount ?? missing, 'credit');
      toast(
        decision === 'bill' ? `Billed ${credits} to ${only.userId}` : `Waived ${credits} for ${only.userId}`,
        'good',
      );
      onDone(true);
      return onClose();
    }
    for (const record of records) {
      try {
        await settleOne(record);
        now.done++;
      } catch (error) {
        const problem = toProblem(error);
        now.refused.push({ record, why: problem.message });
        // The other calls would fail in the same way.
        if (problem.isPassing || problem.status === 401) break;
      }
      setOutcome({ ...now, refused: [...now.refused] });
    }
    setOutcome(now);
    setFinished(true);
    onDone(now.done > 0);
    if (now.refused.length > 0) return;
    toast(`${plural(now.done, 'call')} ${decision === 'bill' ? 'billed' : 'waived'}`, 'good');
    onClose();
  });
  const users = new Set(records.map(({ userId }) => userId));
  const title = `${decision === 'bill' ? 'Bill' : 'Waive'} ${only ? `a call by ${only.userId}` : plural(records.length, 'call')}`;
  const payer = only?.accountId ?? '';
  const balance = useQuery({
    queryKey: ['balance', payer],
    queryFn: ({ signal }) => readerOf(payer).balance(signal),
    enabled: payer !== '' && decision === 'bill',
  });
  if (isFinished && outcome) {
    const untried = records.length - outcome.done - outcome.refused.length;
    return (
      <Dialog title={title} onClose={onClose}>
        <div class="dialog-body" role="alert">
          <p>
            {plural(outcome.done, 'call')} settled, {whole(outcome.refused.length)} refused
            {untried > 0 && `, ${whole(untried)} not tried`}:
          </p>
          <ul>
            {refusalsByUser(outcome).map(({ userId, why, calls, credits }) => (
              <li key={`${userId} ${why}`}>
                {plural(calls, 'call')} by <UserLink userId={userId} />, {plural(credits, 'credit')}: {why}
              </li>
            ))}
          </ul>
          <p class="hint">These calls stay in review. Allocate credits and bill them again, or waive them.</p>
        </div>
        <footer class="dialog-footer">
          <Button kind="primary" onClick={onClose}>
            Close
          </Button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title={title} onClose={onClose} isLocked={settle.isBusy}>
      <Form
        action={decision === 'bill' ? 'Bill' : 'Waive'}
        kind={decision === 'bill' ? 'primary' : 'danger'}
        isBusy={settle.isBusy}
        isDisabled={amount === null}
        onSubmit={() => void settle.run()}
        onCancel={onClose}
      >
        {settle.problem && <ProblemNote problem={settle.problem} shown={['credits']} />}
        <p>
          {decision === 'bill'
            ? `${plural(missing, 'credit')} will be deducted from ${only ? payer : plural(users.size, 'user')}${balance.data ? `, who has ${whole(balance.data.totalCredits)}` : ''}. A call that the balance does not cover stays in review, and nothing is deducted for it.`
            : `${plural(missing, 'credit')} will be waived: no one pays for them. This cannot be undone.`}
        </p>
        {only && decision === 'bill' && (
          <Field
            label="Different amount"
            name="credits"
            value={credits}
            onChange={setCredits}
            problem={settle.problem}
            inputMode="numeric"
            hint={`Blank = all ${whole(missing)}`}
            error={amount === null ? 'Enter a whole number' : undefined}
          />
        )}
        {settle.isBusy && !only && (
          <div class="progress" role="status">
            <progress
              max={records.length}
              value={(outcome?.done ?? 0) + (outcome?.refused.length ?? 0)}
              aria-label="Settled"
            />
            <span class="hint">
              {(outcome?.done ?? 0) + (outcome?.refused.length ?? 0)} of {records.length}
            </span>
          </div>
        )}
      </Form>
    </Dialog>
  );
}

interface Refusals {
  userId: string;
  why: string;
  calls: number;
  credits: number;
}

/** Most are refused for the same reason: it is shown once for each user. */
function refusalsByUser({ refused }: Outcome): Refusals[] {
  const found = new Map<string, Refusals>();
  for (const { record, why } of refused) {
    const { userId, uncollectedCredits } = record;
    const known = found.get(`${userId} ${why}`) ?? { userId, why, calls: 0, credits: 0 };
    known.calls++;
    known.credits += uncollectedCredits;
    found.set(`${userId} ${why}`, known);
  }
  return [...found.values()];
}
