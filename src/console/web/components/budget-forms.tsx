import { useState } from 'preact/hooks';
import { isOrganisation } from '../api/accounts';
import {
  type Budget,
  type BudgetPeriod,
  budgetPeriods,
  changeBudget,
  createBudget,
  endBudget,
  raiseBudget,
} from '../api/budgets';
import { newIdempotencyKey } from '../api/client';
import { useAction, usePages } from '../api/hooks';
import { amountInWords, capital, choicesOf, type Names, scopeInWords } from '../api/limits';
import { plural, time, whole } from '../format';
import { Confirm, Dialog, ProblemNote } from './dialog';
import { Field, Form, parseWhole, Select } from './form';
import { Table } from './table';
import { toast } from './toasts';
import { Segmented } from './ui';

type Scope = Budget['scope'];
type Unit = Budget['unit'];
type Window = NonNullable<Budget['window']>;
type Mode = Budget['mode'];

const SCOPES: [Scope, string][] = [
  ['account', 'Whole account'],
  ['unit', 'Unit, with the units below it'],
  ['member', 'Member'],
  ['each_member', 'Each member alone'],
  ['key', 'API key'],
  ['model', 'Model'],
  ['tag', 'Tag'],
];
const OF_ORGANISATIONS = new Set<Scope>(['unit', 'member', 'each_member']);
const UNITS: [Unit, string][] = [
  ['credits', 'credits'],
  ['tokens', 'tokens'],
  ['requests', 'requests'],
  ['sessions', 'sessions at once'],
];
const WINDOWS = ['minute', 'hour', 'day', 'week', 'month', 'lifetime'].map((window): [string, string] => [
  window,
  window,
]);
const ID_HINTS: Partial<Record<Scope, [label: string, hint: string]>> = {
  member: ['Member', 'The user’s id'],
  model: ['Model', 'Its id, or the beginning of it and *'],
  tag: ['Tag', 'Such as feature=search'],
};
const MODES: [Mode, string][] = [
  ['hard', 'Refused (hard)'],
  ['soft', 'Counted (soft)'],
];

/** `50, 80` → [50, 80]; null: something else. */
function parseAlerts(text: string): number[] | null {
  const alerts = text.split(',').flatMap((part) => (part.trim() === '' ? [] : [parseWhole(part)]));
  return alerts.every((alert) => alert !== null && alert >= 1 && alert <= 100) ? (alerts as number[]) : null;
}

interface LimitFieldsProps {
  amount: string;
  setAmount: (amount: string) => void;
  mode: Mode;
  setMode: (mode: Mode) => void;
  alerts: string;
  setAlerts: (alerts: string) => void;
  problem: Parameters<typeof Field>[0]['problem'];
}

/** What can be changed of a budget later. */
function LimitFields({ amount, setAmount, mode, setMode, alerts, setAlerts, problem }: LimitFieldsProps) {
  return (
    <>
      <Field
        label="Amount"
        name="amount"
        value={amount}
        onChange={setAmount}
        problem={problem}
        inputMode="numeric"
        required
        error={amount !== '' && parseWhole(amount) === null ? 'Enter a whole number' : undefined}
      />
      <fieldset>
        <legend>Calls that do not fit</legend>
        <Segmented label="Calls that do not fit" value={mode} options={MODES} onChange={setMode} />
      </fieldset>
      <Field
        label="Alerts"
        name="alerts"
        value={alerts}
        onChange={setAlerts}
        problem={problem}
        hint="Percentages at which an event is emitted, such as 50, 80, 100"
        error={parseAlerts(alerts) === null ? 'Enter whole numbers from 1 to 100' : undefined}
      />
    </>
  );
}

const LIMIT_FIELDS = ['amount', 'alerts'];

interface NewBudgetProps {
  accountId: string;
  /** The units and API keys that a budget can be for. */
  names: Names;
  scope?: Scope;
  scopeId?: string;
  onClose: () => void;
}

export function NewBudget({ accountId, names, onClose, ...initial }: NewBudgetProps) {
  const [scope, setScope] = useState<Scope>(initial.scope ?? 'account');
  const [scopeId, setScopeId] = useState(initial.scopeId ?? '');
  const [unit, setUnit] = useState<Unit>('credits');
  const [window, setWindow] = useState<Window>('month');
  const [timeZone, setTimeZone] = useState('UTC');
  const [anchor, setAnchor] = useState('1');
  const [amount, setAmount] = useState('');
  const [mode, setMode] = useState<Mode>('hard');
  const [alerts, setAlerts] = useState('');
  const [key] = useState(newIdempotencyKey);
  const choices = choicesOf(names, scope);
  const needsId = scope !== 'account' && scope !== 'each_member';
  const limit = parseWhole(amount);
  const percentages = parseAlerts(alerts);
  const isMonthly = unit !== 'sessions' && window === 'month';
  const anchorDay = isMonthly ? parseWhole(anchor) : 1;
  const isDay = anchorDay !== null && anchorDay >= 1 && anchorDay <= 31;
  const isValid = limit !== null && percentages !== null && isDay && (!needsId || scopeId.trim() !== '');
  const create = useAction(async () => {
    if (!isValid) return;
    const budget = await createBudget(
      {
        accountId,
        scope,
        ...(needsId ? { scopeId: scopeId.trim() } : {}),
        unit,
        ...(unit === 'sessions' ? {} : { window }),
        amount: limit,
        mode,
        timeZone: timeZone.trim(),
        anchorDay,
        alerts: percentages,
      },
      key,
    );
    toast(`New budget: ${amountInWords(limit, budget.unit, budget.window)}`, 'good');
    onClose();
  });
  const [idLabel, idHint] = ID_HINTS[scope] ?? ['', ''];
  return (
    <Dialog title="New budget" onClose={onClose} isLocked={create.isBusy}>
      <Form
        action="Create budget"
        isBusy={create.isBusy}
        isDisabled={!isValid}
        onSubmit={() => void create.run()}
        onCancel={onClose}
      >
        {create.problem && (
          <ProblemNote
            problem={create.problem}
            shown={[...LIMIT_FIELDS, 'scopeId', 'timeZone', 'anchorDay']}
          />
        )}
        <Select
          label="For"
          value={scope}
          options={SCOPES.filter(([name]) => isOrganisation(accountId) || !OF_ORGANISATIONS.has(name))}
          onChange={(next) => {
            setScope(next as Scope);
            setScopeId('');
          }}
        />
        {(scope === 'unit' || scope === 'key') && (
          <Select
            label={scope === 'unit' ? 'Unit' : 'API key'}
            value={scopeId}
            options={[['', choices.length === 0 ? 'none yet' : 'choose'], ...choices]}
            onChange={setScopeId}
          />
        )}
        {idLabel !== '' && (
          <Field
            label={idLabel}
            name="scopeId"
            value={scopeId}
            onChange={setScopeId}
            problem={create.problem}
            required
            spellcheck={false}
            hint={idHint}
          />
        )}
        <div class="row">
          <Select label="Counts" value={unit} options={UNITS} onChange={(next) => setUnit(next as Unit)} />
          {unit !== 'sessions' && (
            <Select
              label="Per"
              value={window}
              options={WINDOWS}
              onChange={(next) => setWindow(next as Window)}
            />
          )}
        </div>
        {unit !== 'sessions' && ['day', 'week', 'month'].includes(window) && (
          <Field
            label="Time zone"
            name="timeZone"
            value={timeZone}
            onChange={setTimeZone}
            problem={create.problem}
            required
            hint="Such as Europe/Berlin"
          />
        )}
        {isMonthly && (
          <Field
            label="First day of the month"
            name="anchorDay"
            value={anchor}
            onChange={setAnchor}
            problem={create.problem}
            inputMode="numeric"
            required
            hint="A shorter month begins on its last day"
            error={isDay ? undefined : 'Enter a day from 1 to 31'}
          />
        )}
        <LimitFields {...{ amount, setAmount, mode, setMode, alerts, setAlerts }} problem={create.problem} />
      </Form>
    </Dialog>
  );
}

interface BudgetFormProps {
  budget: Budget;
  /** What it is for, and its amount. */
  name: string;
  onClose: () => void;
}

export function ChangeBudget({ budget, name, onClose }: BudgetFormProps) {
  const [amount, setAmount] = useState(String(budget.amount ?? ''));
  const [mode, setMode] = useState(budget.mode);
  const [alerts, setAlerts] = useState(budget.alerts.join(', '));
  const limit = parseWhole(amount);
  const percentages = parseAlerts(alerts);
  const isValid = limit !== null && percentages !== null;
  const change = useAction(async () => {
    if (!isValid) return;
    await changeBudget(budget, { amount: limit, mode, alerts: percentages });
    toast('Budget changed', 'good');
    onClose();
  });
  return (
    <Dialog title={`Change ${name}`} onClose={onClose} isLocked={change.isBusy}>
      <Form
        action="Save"
        isBusy={change.isBusy}
        isDisabled={!isValid}
        onSubmit={() => void change.run()}
        onCancel={onClose}
      >
        {change.problem && <ProblemNote problem={change.problem} shown={LIMIT_FIELDS} />}
        <LimitFields {...{ amount, setAmount, mode, setMode, alerts, setAlerts }} problem={change.problem} />
        <p class="hint">
          An amount below what is used and held is allowed: no more calls fit then, and open sessions go on
          within their holds.
        </p>
      </Form>
    </Dialog>
  );
}

interface RaiseBudgetProps extends BudgetFormProps {
  memberId?: string | undefined;
}

export function RaiseBudget({ budget, name, memberId, onClose }: RaiseBudgetProps) {
  const [member, setMember] = useState(memberId ?? '');
  const [by, setBy] = useState('');
  const [until, setUntil] = useState('');
  const [reason, setReason] = useState('');
  const [key] = useState(newIdempotencyKey);
  const amount = parseWhole(by);
  const isOfMember = budget.scope === 'each_member';
  const isValid =
    amount !== null && amount >= 1 && reason.trim() !== '' && (!isOfMember || member.trim() !== '');
  const raise = useAction(async () => {
    if (!isValid) return;
    await raiseBudget(
      budget,
      {
        amount,
        reason: reason.trim(),
        ...(isOfMember ? { memberId: member.trim() } : {}),
        ...(until === '' ? {} : { until: new Date(until).toISOString() }),
      },
      key,
    );
    toast(`Raised by ${plural(amount, budget.unit.slice(0, -1))}`, 'good');
    onClose();
  });
  return (
    <Dialog title={`Raise ${name}`} onClose={onClose} isLocked={raise.isBusy}>
      <Form
        action="Raise"
        isBusy={raise.isBusy}
        isDisabled={!isValid}
        onSubmit={() => void raise.run()}
        onCancel={onClose}
      >
        {raise.problem && (
          <ProblemNote problem={raise.problem} shown={['amount', 'until', 'reason', 'memberId']} />
        )}
        <p>A raise is for the present period only. The next one begins with the budget’s own amount.</p>
        {isOfMember && (
          <Field
            label="Member"
            name="memberId"
            value={member}
            onChange={setMember}
            problem={raise.problem}
            required
            spellcheck={false}
          />
        )}
        <Field
          label={`Raise by (${budget.unit})`}
          name="amount"
          value={by}
          onChange={setBy}
          problem={raise.problem}
          inputMode="numeric"
          required
          autofocus
          error={by !== '' && !amount ? 'Enter a whole number of at least 1' : undefined}
        />
        <Field
          label="Until"
          name="until"
          type="datetime-local"
          value={until}
          onChange={setUntil}
          problem={raise.problem}
          hint="Local time. Blank = the end of the period"
        />
        <Field
          label="Reason"
          name="reason"
          value={reason}
          onChange={setReason}
          problem={raise.problem}
          maxLength={200}
          required
          hint="Stored in the budget’s history"
        />
      </Form>
    </Dialog>
  );
}

export function EndBudget({ budget, name, onClose }: BudgetFormProps) {
  const end = useAction(async () => {
    await endBudget(budget);
    toast('Budget ended', 'good');
    onClose();
  });
  return (
    <Confirm
      title={`End ${name}`}
      action="End budget"
      isBusy={end.isBusy}
      problem={end.problem}
      onClose={onClose}
      onConfirm={() => void end.run()}
    >
      <p>It limits nothing from now on. This cannot be undone; a new budget begins with nothing used.</p>
    </Confirm>
  );
}

/** What was used in each period, with the raises. */
export function BudgetHistory({ budget, name, onClose }: BudgetFormProps) {
  const pages = usePages<BudgetPeriod>(['budget-periods', budget.accountId, budget.id], (cursor, signal) =>
    budgetPeriods(budget, cursor, signal),
  );
  return (
    <Dialog title={`History of ${name}`} onClose={onClose} isWide>
      <div class="dialog-body">
        <Table
          {...pages}
          caption="Periods, newest first"
          keyOf={({ id }) => id}
          empty="No calls have counted for it yet"
          columns={[
            { header: 'Since', cell: ({ startsAt, countsFrom }) => time(startsAt ?? countsFrom) },
            { header: 'Until', cell: ({ endsAt }) => (endsAt === null ? '–' : time(endsAt)), isWide: true },
            ...(budget.scope === 'each_member'
              ? [{ header: 'Member', cell: ({ memberId }: BudgetPeriod) => memberId ?? '–' }]
              : []),
            { header: 'Used', cell: ({ used }) => whole(used), isNumber: true },
            { header: 'Held', cell: ({ held }) => whole(held), isNumber: true },
            {
              header: 'Raises',
              cell: ({ raises, totalRaises }) => {
                const more = totalRaises - raises.length;
                const text =
                  raises.map(raiseInWords).join('; ') + (more > 0 ? `; and ${whole(more)} before` : '');
                return (
                  <span class="clip" title={text}>
                    {text || '–'}
                  </span>
                );
              },
            },
          ]}
        />
        <p class="hint">
          {capital(scopeInWords(budget))} by {budget.createdBy}, {time(budget.createdAt)}, days in{' '}
          {budget.timeZone}
          {budget.window === 'month' && `, months from day ${budget.anchorDay}`}.
        </p>
      </div>
    </Dialog>
  );
}

const raiseInWords = ({ amount, madeBy, reason, until }: BudgetPeriod['raises'][number]) =>
  `+${whole(amount)} by ${madeBy}: ${reason}${until === null ? '' : ` (until ${time(until)})`}`;
