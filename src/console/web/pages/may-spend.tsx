import { useQuery } from '@tanstack/preact-query';
import { readerOf } from '../api/accounts';
import { budgetsOf, isCounted, usedUp } from '../api/budgets';
import { bySmallestRoom, isForEveryCall, mostCredits, type Names, scopeInWords } from '../api/limits';
import { BudgetList } from '../components/budgets';
import { Dialog } from '../components/dialog';
import { Limits } from '../components/limits';
import { Skeleton, Trouble } from '../components/ui';
import { plural, whole } from '../format';

interface MaySpendProps {
  accountId: string;
  memberId: string;
  names: Names;
}

/** What a member may spend now: what is left of each budget that their calls count for, the smallest first. */
export function MaySpend({ accountId, memberId, names }: MaySpendProps) {
  const budgets = useQuery(budgetsOf(accountId, memberId));
  const balance = useQuery({
    queryKey: ['balance', accountId],
    queryFn: ({ signal }) => readerOf(accountId).balance(signal),
  });
  const problem = budgets.error ?? balance.error;
  if (problem) return <Trouble problem={problem} retry={() => void budgets.refetch()} />;
  if (budgets.data === undefined || balance.data === undefined) return <Skeleton rows={3} />;
  const available = balance.data.totalCredits;
  const { credits, by } = mostCredits(available, budgets.data);
  const refusing = usedUp(budgets.data).filter(isForEveryCall);
  return (
    <>
      {refusing.length > 0 ? (
        <div class="note bad">
          <p>Every call of {memberId} is refused.</p>
          <Limits limits={refusing} names={names} />
        </div>
      ) : (
        <p class="note">
          A call of {memberId} may cost at most <strong>{plural(credits, 'credit')}</strong>:{' '}
          {by === null
            ? 'the balance has no more.'
            : `the budget of ${scopeInWords(by, names)} has no more left; the balance has ${whole(available)}.`}
        </p>
      )}
      {budgets.data.length === 0 ? (
        <p class="hint">No budget applies to {memberId}.</p>
      ) : (
        <BudgetList
          budgets={bySmallestRoom(budgets.data.filter(isCounted))}
          names={names}
          label={`What ${memberId} may spend`}
          showScope
          manages={false}
        />
      )}
    </>
  );
}

export function MaySpendDialog({ onClose, ...rest }: MaySpendProps & { onClose: () => void }) {
  return (
    <Dialog title={`What ${rest.memberId} may spend`} onClose={onClose} isWide>
      <div class="dialog-body">
        <MaySpend {...rest} />
      </div>
    </Dialog>
  );
}
