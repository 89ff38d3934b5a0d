import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { type Budget, budgetsOf } from '../api/budgets';
import { newIdempotencyKey } from '../api/client';
import { useAction } from '../api/hooks';
import { bySmallestRoom, type Names } from '../api/limits';
import { unitsOf } from '../api/names';
import { addUnit, changeUnit, deleteUnit, type Unit, unitPaths } from '../api/organisations';
import { BudgetList } from '../components/budgets';
import { NewBudget } from '../components/budget-forms';
import { Confirm, Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, Select } from '../components/form';
import { toast } from '../components/toasts';
import { Button, Card, Skeleton, Trouble } from '../components/ui';
import { plural } from '../format';
import { BUDGETS_HINT } from './account-budgets';

type Opened =
  | { what: 'budget'; scope: 'account' | 'unit'; scopeId?: string }
  | { what: 'new'; parentId: number | null }
  | { what: 'change' | 'delete'; unit: Unit };

interface UnitsProps {
  organisationId: string;
  name: string;
  names: Names;
  manages: boolean;
}

/** The organisation as a tree of units with their budgets, and the budgets of what is in no unit. */
export function Units({ organisationId, name, names, manages }: UnitsProps) {
  const units = useQuery(unitsOf(organisationId));
  const budgets = useQuery(budgetsOf(organisationId));
  const [opened, setOpened] = useState<Opened | null>(null);
  const close = () => setOpened(null);
  const problem = units.error ?? budgets.error;
  if (problem) return <Trouble problem={problem} retry={() => void budgets.refetch()} />;
  if (units.data === undefined || budgets.data === undefined) return <Skeleton rows={8} />;
  const tree = units.data;
  const ofScopes = (...scopes: Budget['scope'][]) =>
    budgets.data.filter(({ scope }) => scopes.includes(scope));
  const others = bySmallestRoom(ofScopes('member', 'key', 'model', 'tag'));
  const parts: TreeParts = { budgets: ofScopes('unit'), names, manages, onOpen: setOpened };
  return (
    <>
      <Card
        title="Units and their budgets"
        hint={BUDGETS_HINT}
        actions={
          manages && (
            <>
              <Button icon="plus" onClick={() => setOpened({ what: 'new', parentId: null })}>
                New unit
              </Button>
              <Button icon="plus" onClick={() => setOpened({ what: 'budget', scope: 'account' })}>
                New budget
              </Button>
            </>
          )
        }
      >
        <ul class="units" aria-label="Units">
          <li>
            <p class="unit">
              <strong>{name}</strong>
            </p>
            <BudgetList
              budgets={bySmallestRoom(ofScopes('account', 'each_member'))}
              names={names}
              label={`Budgets of ${name}`}
              manages={manages}
            />
            <UnitTree units={tree} {...parts} />
          </li>
        </ul>
      </Card>
      {others.length > 0 && (
        <Card title="Budgets of members, API keys, models and tags">
          <BudgetList budgets={others} names={names} label="Other budgets" showScope manages={manages} />
        </Card>
      )}
      {opened?.what === 'budget' && (
        <NewBudget
          accountId={organisationId}
          names={names}
          scope={opened.scope}
          {...(opened.scopeId === undefined ? {} : { scopeId: opened.scopeId })}
          onClose={close}
        />
      )}
      {opened?.what === 'new' && (
        <UnitForm {...{ organisationId, tree }} parentId={opened.parentId} onClose={close} />
      )}
      {opened?.what === 'change' && (
        <UnitForm
          {...{ organisationId, tree }}
          unit={opened.unit}
          parentId={opened.unit.parentId}
          onClose={close}
        />
      )}
      {opened?.what === 'delete' && (
        <DeleteUnit organisationId={organisationId} unit={opened.unit} onClose={close} />
      )}
    </>
  );
}

interface TreeParts {
  budgets: Budget[];
  names: Names;
  manages: boolean;
  onOpen: (opened: Opened) => void;
}

function UnitTree({ units, ...parts }: TreeParts & { units: Unit[] }) {
  const { budgets, names, manages, onOpen } = parts;
  if (units.length === 0) return null;
  return (
    <ul>
      {units.map((unit) => (
        <li key={unit.id}>
          <p class="unit">
            <strong class="anywhere">{unit.name}</strong>
            <span class="hint">{plural(unit.members, 'member')}</span>
            {manages && <UnitActions unit={unit} onOpen={onOpen} />}
          </p>
          <BudgetList
            budgets={bySmallestRoom(budgets.filter(({ scopeId }) => scopeId === String(unit.id)))}
            names={names}
            label={`Budgets of ${unit.name}`}
            manages={manages}
          />
          <UnitTree units={unit.children} {...parts} />
        </li>
      ))}
    </ul>
  );
}

function UnitActions({ unit, onOpen }: { unit: Unit; onOpen: (opened: Opened) => void }) {
  const actions = [
    ['budget', 'New budget', { what: 'budget', scope: 'unit', scopeId: String(unit.id) }],
    ['plus', 'Add unit below', { what: 'new', parentId: unit.id }],
    ['edit', 'Rename or move', { what: 'change', unit }],
    ['trash', 'Delete', { what: 'delete', unit }],
  ] as const;
  return (
    <span class="row-actions">
      {actions.map(([icon, title, opened]) => (
        <Button
          key={title}
          kind="quiet"
          icon={icon}
          title={title}
          aria-label={`${title}: ${unit.name}`}
          onClick={() => onOpen(opened)}
        />
      ))}
    </span>
  );
}

interface UnitFormProps {
  organisationId: string;
  tree: Unit[];
  /** The unit to rename or move; left out, a new one is added. */
  unit?: Unit;
  parentId: number | null;
  onClose: () => void;
}

function UnitForm({ organisationId, tree, unit, onClose, ...initial }: UnitFormProps) {
  const [text, setText] = useState(unit?.name ?? '');
  const [parent, setParent] = useState(String(initial.parentId ?? ''));
  const [key] = useState(newIdempotencyKey);
  const name = text.trim();
  const parentId = parent === '' ? null : Number(parent);
  const save = useAction(async () => {
    if (unit) await changeUnit(organisationId, unit.id, { name, parentId });
    else await addUnit(organisationId, { name, ...(parentId === null ? {} : { parentId }) }, key);
    toast(unit ? 'Unit changed' : `Unit ${name} added`, 'good');
    onClose();
  });
  const below = new Set(unit ? unitPaths([unit]).map(({ unit: { id } }) => id) : []);
  const places = unitPaths(tree)
    .filter(({ unit: { id } }) => !below.has(id))
    .map(({ unit: { id }, path }): [string, string] => [String(id), path]);
  return (
    <Dialog
      title={unit ? `Rename or move ${unit.name}` : 'New unit'}
      onClose={onClose}
      isLocked={save.isBusy}
    >
      <Form
        action={unit ? 'Save' : 'Add unit'}
        isBusy={save.isBusy}
        isDisabled={name === ''}
        onSubmit={() => void save.run()}
        onCancel={onClose}
      >
        {save.problem && <ProblemNote problem={save.problem} shown={['name']} />}
        <Field
          label="Name"
          name="name"
          value={text}
          onChange={setText}
          problem={save.problem}
          maxLength={100}
          required
          autofocus
        />
        <Select
          label="Below"
          value={parent}
          options={[['', 'the organisation'], ...places]}
          onChange={setParent}
        />
        {unit && <p class="hint">The units below it move with it.</p>}
      </Form>
    </Dialog>
  );
}

function DeleteUnit({
  organisationId,
  unit,
  onClose,
}: {
  organisationId: string;
  unit: Unit;
  onClose: () => void;
}) {
  const remove = useAction(async () => {
    await deleteUnit(organisationId, unit.id);
    toast(`Unit ${unit.name} deleted`, 'good');
    onClose();
  });
  return (
    <Confirm
      title={`Delete ${unit.name}`}
      action="Delete unit"
      isBusy={remove.isBusy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => void remove.run()}
    >
      <p>Its budgets end with it. Only a unit without members and without units below it can be deleted.</p>
    </Confirm>
  );
}
