import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { budgetsOf } from '../api/budgets';
import { bySmallestRoom, type Names } from '../api/limits';
import { BudgetList } from '../components/budgets';
import { NewBudget } from '../components/budget-forms';
import { Button, Card, Empty, Skeleton, Trouble } from '../components/ui';

export const BUDGETS_HINT = 'What is used and held of each in its present period, and what is left';

/** The budgets of a user's own account. */
export function AccountBudgets({ userId, names }: { userId: string; names: Names }) {
  const [isOpen, setOpen] = useState(false);
  const budgets = useQuery(budgetsOf(userId, userId));
  return (
    <Card
      title="Budgets"
      hint={BUDGETS_HINT}
      actions={
        <Button icon="plus" onClick={() => setOpen(true)}>
          New budget
        </Button>
      }
    >
      {budgets.data === undefined ? (
        budgets.error ? (
          <Trouble problem={budgets.error} retry={() => void budgets.refetch()} />
        ) : (
          <Skeleton rows={2} />
        )
      ) : budgets.data.length === 0 ? (
        <Empty icon="budget" title="No budgets">
          A budget limits what is spent per minute, hour, day, week or month, or in all.
        </Empty>
      ) : (
        <BudgetList
          budgets={bySmallestRoom(budgets.data)}
          names={names}
          label="Budgets"
          showScope
          manages
          memberId={userId}
        />
      )}
      {isOpen && <NewBudget accountId={userId} names={names} onClose={() => setOpen(false)} />}
    </Card>
  );
}
