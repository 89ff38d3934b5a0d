import { useState } from 'preact/hooks';
import { answer, api, type UsageRecord } from '../api/client';
import { toProblem, useAction, usePages } from '../api/hooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, parseWhole } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Button, Card, CountNote, Credits, Empty, Moment, PageHeader, UserLink } from '../components/ui';
import { plural, whole } from '../format';
import { RecordDetail } from './usage-table';

type Decision = 'bill' | 'waive';
const LIMIT = 100;

export function Review() {
  const [revision, setRevision] = useState(0);
  const pages = usePages<UsageRecord>(`review ${revision}`, async (cursor, signal) => {
    const { items, nextCursor } = await answer(
      api.GET('/api/usage/needs-review', {
        params: { query: { limit: LIMIT, ...(cursor === undefined ? {} : { cursor }) } },
        signal,
      }),
    );
    return { items, nextCursor: nextCursor ?? null };
  });
  const [chosen, setChosen] = useState<ReadonlyMap<number, UsageRecord>>(new Map());
  const [deciding, setDeciding] = useState<{ decision: Decision; records: UsageRecord[] } | null>(null);
  const [shown, setShown] = useState<UsageRecord | null>(null);
  // Of a long list only a part is in memory: what is chosen is kept here.
  const selected = [...chosen.values()];
  const areAll = pages.items.length > 0 && pages.items.every(({ id }) => chosen.has(id));
  const toggle = (record: UsageRecord, isOn: boolean) =>
    setChosen((before) => {
      const next = new Map(before);
      if (isOn) next.set(record.id, record);
      else next.delete(record.id);
      return next;
    });
  return (
    <>
      <PageHeader
        title="Review"
        sub="Finished calls that the balance did not cover: collect what is missing, or let it go"
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
      <Card>
        <Table
          {...pages}
          caption="Calls to review"
          keyOf={(record) => record.id}
          empty={<Empty title="Nothing waits for a review">Every finished call is paid for.</Empty>}
          columns={[
            {
              header: (
                <input
                  type="checkbox"
                  aria-label="Select all that are shown"
                  checked={areAll}
                  onChange={(event) =>
                    setChosen(
                      new Map(
                        event.currentTarget.checked ? pages.items.map((record) => [record.id, record]) : [],
                      ),
                    )
                  }
                />
              ),
              label: 'Selected',
              cell: (record) => (
                <input
                  type="checkbox"
                  aria-label={`Select record ${record.id}`}
                  checked={chosen.has(record.id)}
                  onChange={(event) => toggle(record, event.currentTarget.checked)}
                />
              ),
            },
            { header: 'When', cell: (record) => <Moment at={record.timestamp} exact />, isWide: true },
            { header: 'User', cell: (record) => <UserLink userId={record.userId} /> },
            {
              header: 'Operation',
              cell: (record) => (
                <button type="button" class="link clip" onClick={() => setShown(record)}>
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
              header: 'Missing',
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
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="call" />
      </Card>
      {deciding && (
        <Decide
          {...deciding}
          onClose={() => setDeciding(null)}
          onDone={(isAny) => {
            if (isAny) {
              setChosen(new Map());
              setRevision((before) => before + 1);
            }
          }}
        />
      )}
      {shown && <RecordDetail record={shown} onClose={() => setShown(null)} />}
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

/** One after the other: each is settled by itself, and what is refused does not stop the rest. */
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
          body: { action: decision, ...(typeof amount === 'number' ? { credits: amount } : {}) },
        }),
      );
    if (only !== undefined) {
      await settleOne(only);
      toast(`Record ${only.id} is ${decision === 'bill' ? 'billed' : 'waived'}`, 'good');
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
        // The others would fail in the same way.
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
  const title = `${decision === 'bill' ? 'Bill' : 'Waive'} ${only ? `record ${only.id}` : plural(records.length, 'call')}`;
  if (isFinished && outcome) {
    return (
      <Dialog title={title} onClose={onClose}>
        <div class="dialog-body" role="alert">
          <p>
            {plural(outcome.done, 'call')} settled, {whole(outcome.refused.length)} refused,{' '}
            {whole(records.length - outcome.done - outcome.refused.length)} not tried:
          </p>
          <ul>
            {outcome.refused.map(({ record, why }) => (
              <li key={record.id}>
                Record {record.id} of {record.userId}: {why}
              </li>
            ))}
          </ul>
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
            ? `${plural(missing, 'credit')} are taken from ${only ? only.userId : plural(users.size, 'user')}. Who has too little is refused, and nothing is taken of them.`
            : `${plural(missing, 'credit')} are let go. Nobody pays for them, and this cannot be undone.`}
        </p>
        {only && decision === 'bill' && (
          <Field
            label="Credits to take instead"
            name="credits"
            value={credits}
            onChange={setCredits}
            problem={settle.problem}
            inputMode="numeric"
            hint={`Empty: all ${whole(missing)}`}
            error={amount === null ? 'A whole number' : undefined}
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
