import { useState } from 'preact/hooks';
import { isOrganisation } from '../api/accounts';
import { answer, api, type Allocation, newIdempotencyKey } from '../api/client';
import { useAction } from '../api/hooks';
import { date, plural, whole } from '../format';
import { Dialog, ProblemNote } from './dialog';
import { Field, Form, parseWhole } from './form';
import { toast } from './toasts';

interface MoneyFormProps {
  accountId: string;
  available: number;
  onClose: () => void;
}

/** A user may be allocated credits before the account exists. */
const payerOf = (accountId: string) => (isOrganisation(accountId) ? { accountId } : { userId: accountId });

const MOST_CREDITS = 1_000_000_000_000;
const MOST_DAYS = 3650;
const QUICK_AMOUNTS = [100, 1000, 10_000, 100_000];

export function Allocate({ accountId, available, onClose }: MoneyFormProps) {
  const [credits, setCredits] = useState('');
  const [days, setDays] = useState('30');
  const [notes, setNotes] = useState('');
  const [key] = useState(newIdempotencyKey);
  const amount = parseWhole(credits);
  const expiryDays = parseWhole(days);
  const isValid =
    amount !== null &&
    amount >= 1 &&
    amount <= MOST_CREDITS &&
    expiryDays !== null &&
    expiryDays >= 1 &&
    expiryDays <= MOST_DAYS;
  const allocate = useAction(async () => {
    if (!isValid) return;
    const allocation = await answer(
      api.POST('/api/credits/allocate', {
        params: { header: { 'Idempotency-Key': key } },
        body: {
          ...payerOf(accountId),
          credits: amount,
          expiryDays,
          ...(notes.trim() === '' ? {} : { notes: notes.trim() }),
        },
      }),
    );
    toast(
      `Allocated ${plural(allocation.totalCredits, 'credit')} to ${accountId}, expiring ${date(allocation.expiresAt)}`,
      'good',
    );
    onClose();
  });
  return (
    <Dialog title={`Allocate credits to ${accountId}`} onClose={onClose} isLocked={allocate.isBusy}>
      <Form
        action="Allocate"
        isBusy={allocate.isBusy}
        isDisabled={!isValid}
        onSubmit={() => void allocate.run()}
        onCancel={onClose}
      >
        {allocate.problem && (
          <ProblemNote problem={allocate.problem} shown={['credits', 'expiryDays', 'notes']} />
        )}
        <Field
          label="Credits"
          name="credits"
          value={credits}
          onChange={setCredits}
          problem={allocate.problem}
          inputMode="numeric"
          required
          autofocus
          error={
            credits !== '' && (amount === null || amount < 1 || amount > MOST_CREDITS)
              ? 'Enter a whole number from 1 to 1,000,000,000,000'
              : undefined
          }
        />
        <div class="chips" role="group" aria-label="Common amounts">
          {QUICK_AMOUNTS.map((quick) => (
            <button type="button" class="chip" key={quick} onClick={() => setCredits(String(quick))}>
              {whole(quick)}
            </button>
          ))}
        </div>
        <Field
          label="Days until expiry"
          name="expiryDays"
          value={days}
          onChange={setDays}
          problem={allocate.problem}
          inputMode="numeric"
          required
          error={
            expiryDays === null || expiryDays < 1 || expiryDays > MOST_DAYS
              ? 'Enter a whole number from 1 to 3,650'
              : undefined
          }
        />
        <Field
          label="Note"
          name="notes"
          value={notes}
          onChange={setNotes}
          problem={allocate.problem}
          maxLength={1000}
          hint="Stored with the ledger entry"
        />
        <p class="note" aria-live="polite">
          {isValid
            ? `${accountId} will have ${whole(available + amount)} credits (now ${whole(available)}). The new credits expire on ${date(Date.now() + expiryDays * 86_400_000)}.`
            : `${accountId} currently has ${plural(available, 'credit')}.`}
        </p>
      </Form>
    </Dialog>
  );
}

export function Deduct({ accountId, available, onClose }: MoneyFormProps) {
  const [credits, setCredits] = useState('');
  const [notes, setNotes] = useState('');
  const [key] = useState(newIdempotencyKey);
  const amount = parseWhole(credits);
  const isValid = amount !== null && amount >= 1 && notes.trim() !== '';
  const deduct = useAction(async () => {
    if (!isValid) return;
    const done = await answer(
      api.POST('/api/credits/deduct', {
        params: { header: { 'Idempotency-Key': key } },
        body: { ...payerOf(accountId), credits: amount, notes: notes.trim() },
      }),
    );
    toast(
      `Deducted ${plural(done.deducted, 'credit')} from ${accountId}; ${whole(done.totalCredits)} left`,
      'good',
    );
    onClose();
  });
  return (
    <Dialog title={`Deduct credits from ${accountId}`} onClose={onClose} isLocked={deduct.isBusy}>
      <Form
        action="Deduct"
        kind="danger"
        isBusy={deduct.isBusy}
        isDisabled={!isValid}
        onSubmit={() => void deduct.run()}
        onCancel={onClose}
      >
        {deduct.problem && <ProblemNote problem={deduct.problem} shown={['credits', 'notes']} />}
        <Field
          label="Credits"
          name="credits"
          value={credits}
          onChange={setCredits}
          problem={deduct.problem}
          inputMode="numeric"
          required
          autofocus
          error={
            amount !== null && amount > available
              ? `Only ${plural(available, 'credit')} available: the service will refuse this`
              : credits !== '' && (amount === null || amount < 1)
                ? 'Enter a whole number of at least 1'
                : undefined
          }
        />
        <Field
          label="Reason"
          name="notes"
          value={notes}
          onChange={setNotes}
          problem={deduct.problem}
          maxLength={1000}
          required
          hint="Stored in the ledger; it cannot be changed later"
        />
        <p class="note" aria-live="polite">
          {amount !== null && amount <= available
            ? `${accountId} will have ${whole(available - amount)} credits (now ${whole(available)}). The allocation that expires first is used first.`
            : `${accountId} currently has ${plural(available, 'credit')}.`}
        </p>
      </Form>
    </Dialog>
  );
}

interface RevokeAllocationProps {
  allocation: Allocation;
  accountId: string;
  onClose: () => void;
}

export function RevokeAllocation({ allocation, accountId, onClose }: RevokeAllocationProps) {
  const [notes, setNotes] = useState('');
  const revoke = useAction(async () => {
    await answer(
      api.POST('/api/credits/allocations/{id}/revoke', {
        params: { path: { id: allocation.id } },
        body: notes.trim() === '' ? {} : { notes: notes.trim() },
      }),
    );
    toast(`Allocation ${allocation.id} revoked`, 'good');
    onClose();
  });
  return (
    <Dialog title={`Revoke allocation ${allocation.id}`} onClose={onClose} isLocked={revoke.isBusy}>
      <Form
        action="Revoke allocation"
        kind="danger"
        isBusy={revoke.isBusy}
        onSubmit={() => void revoke.run()}
        onCancel={onClose}
      >
        {revoke.problem && <ProblemNote problem={revoke.problem} shown={['notes']} />}
        <p>
          {accountId} loses the {plural(allocation.credits, 'credit')} remaining in this allocation. Other
          allocations are not affected. Credits that active sessions hold from it are not returned to it. This
          cannot be undone.
        </p>
        <Field
          label="Note"
          name="notes"
          value={notes}
          onChange={setNotes}
          problem={revoke.problem}
          maxLength={1000}
          autofocus
        />
      </Form>
    </Dialog>
  );
}
