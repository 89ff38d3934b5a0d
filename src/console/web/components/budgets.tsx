import { useState } from 'preact/hooks';
import { type Budget, isCounted } from '../api/budgets';
import { amountInWords, capital, limitInWords, type Names, scopeInWords } from '../api/limits';
import { isSupervisor } from '../api/session';
import { whole } from '../format';
import { BudgetHistory, ChangeBudget, EndBudget, RaiseBudget } from './budget-forms';
import type { IconName } from './icons';
import { Badge, Button, Moment } from './ui';

type Opened = 'raise' | 'change' | 'history' | 'end';

interface BudgetListProps {
  budgets: readonly Budget[];
  names: Names;
  label: string;
  /** What each budget is for, where the list's place does not say it. */
  showScope?: boolean;
  /** May change what the platform has not set. */
  manages: boolean;
  /** Whose part of budgets of each member is shown. */
  memberId?: string | undefined;
}

/** Budgets with what is used, held and left of them in this period. */
export function BudgetList(props: BudgetListProps) {
  const { budgets, names, label, showScope = false, manages, memberId } = props;
  const [opened, setOpened] = useState<{ what: Opened; budget: Budget } | null>(null);
  const close = () => setOpened(null);
  if (budgets.length === 0) return null;
  // What it is now, not when the form opened.
  const current = opened && (budgets.find(({ id }) => id === opened.budget.id) ?? opened.budget);
  const form = current && { budget: current, name: nameOf(current, names), onClose: close };
  return (
    <>
      <ul class="budgets" aria-label={label}>
        {budgets.map((budget) => (
          <BudgetItem
            key={budget.id}
            budget={budget}
            names={names}
            showScope={showScope}
            canChange={manages && (budget.setBy === 'account' || isSupervisor.value)}
            onOpen={(what) => setOpened({ what, budget })}
          />
        ))}
      </ul>
      {form && opened.what === 'raise' && <RaiseBudget {...form} memberId={memberId} />}
      {form && opened.what === 'change' && <ChangeBudget {...form} />}
      {form && opened.what === 'end' && <EndBudget {...form} />}
      {form && opened.what === 'history' && <BudgetHistory {...form} />}
    </>
  );
}

const nameOf = (budget: Budget, names: Names) =>
  `${scopeInWords(budget, names)}, ${amountInWords(budget.amount ?? 0, budget.unit, budget.window)}`;

interface BudgetItemProps {
  budget: Budget;
  names: Names;
  showScope: boolean;
  canChange: boolean;
  onOpen: (what: Opened) => void;
}

function BudgetItem({ budget, names, showScope, canChange, onOpen }: BudgetItemProps) {
  const { scope, mode, setBy, createdBy, unit, window, amount, limit, resetsAt } = budget;
  const words = amountInWords(limit ?? amount ?? 0, unit, window);
  const text = showScope ? `${capital(scopeInWords(budget, names))}: ${words}` : capital(words);
  const action = (what: Opened, icon: IconName, title: string) => (
    <Button
      kind="quiet"
      icon={icon}
      title={title}
      aria-label={`${title}: ${nameOf(budget, names)}`}
      onClick={() => onOpen(what)}
    />
  );
  return (
    <li>
      <div class="budget-title">
        <span class="anywhere">{!showScope && scope === 'each_member' ? `Each member: ${words}` : text}</span>
        {mode === 'soft' && (
          <span title="Refuses nothing: it counts and emits events">
            <Badge>soft</Badge>
          </span>
        )}
        {setBy === 'platform' && (
          <span title="The account cannot change it">
            <Badge tone="accent">set by the platform</Badge>
          </span>
        )}
        <span class="row-actions">
          {action('history', 'clock', 'History')}
          {canChange && (
            <>
              {action('raise', 'upload', 'Raise')}
              {action('change', 'edit', 'Change')}
              {!budget.isKeyLimit && action('end', 'trash', 'End')}
            </>
          )}
        </span>
      </div>
      <BudgetBar budget={budget} names={names} />
      <p class="hint">
        {isCounted(budget)
          ? `${whole(budget.used)} used, ${whole(budget.held)} held, ${whole(budget.left)} left · `
          : 'counted for each member alone · '}
        {limit !== null && amount !== null && limit > amount && `raised from ${whole(amount)} · `}
        {resetsAt !== null && (
          <>
            resets <Moment at={resetsAt} /> ·{' '}
          </>
        )}
        {budget.isKeyLimit ? 'limit of the key' : `by ${createdBy}`}
      </p>
    </li>
  );
}

/** Used, then held, then what is left. */
function BudgetBar({ budget, names }: { budget: Budget; names: Names }) {
  if (!isCounted(budget)) return null;
  const { used, held, left, limit, mode } = budget;
  const share = (amount: number) => `${limit === 0 ? 100 : Math.min(100, (amount / limit) * 100)}%`;
  return (
    <span
      class={`bar ${mode} ${mode === 'hard' && left === 0 ? 'full' : ''}`}
      role="img"
      aria-label={capital(limitInWords(budget, names))}
    >
      <i class="bar-used" style={{ width: share(used) }} />
      <i class="bar-held" style={{ width: share(held) }} />
    </span>
  );
}
