import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { readerOf } from '../api/accounts';
import { useAction } from '../api/hooks';
import type { Names } from '../api/limits';
import { useNames } from '../api/names';
import {
  archiveOrganisation,
  myAccounts,
  type Organisation,
  organisation as read,
  removeMember,
  renameOrganisation,
  type Rights,
  rightsOf,
} from '../api/organisations';
import { session } from '../api/session';
import { CopyButton } from '../components/copy';
import { Confirm, Dialog, ProblemNote } from '../components/dialog';
import { Field, Form } from '../components/form';
import { toast } from '../components/toasts';
import { Badge, Button, Card, Moment, PageHeader, Skeleton, Trouble } from '../components/ui';
import { pathTo } from '../navigation';
import { AccountOverview, type Part } from './account-overview';
import { KeyTable } from './key-table';
import { MaySpend } from './may-spend';
import { Members } from './members';
import { NewKey } from './new-key';
import { Refusals } from './refusals';
import { Units } from './units';

export function OrganisationPage({ id, tab = 'budgets' }: { id: string; tab?: string }) {
  const found = useQuery({ queryKey: ['organisation', id], queryFn: ({ signal }) => read(id, signal) });
  const mine = useQuery(myAccounts);
  const problem = found.error ?? mine.error;
  if (found.data === undefined || mine.data === undefined)
    return (
      <>
        <PageHeader title="Organisation" />
        {problem ? <Trouble problem={problem} retry={() => void found.refetch()} /> : <Skeleton rows={8} />}
      </>
    );
  const role = mine.data.find(({ accountId }) => accountId === id)?.role;
  return <Page key={id} organisation={found.data} role={role} tab={tab} />;
}

interface PageProps {
  organisation: Organisation;
  role: Parameters<typeof rightsOf>[0];
  tab: string;
}

const ACTIONS = [
  ['rename', 'edit', 'Rename'],
  ['archive', 'inbox', 'Archive'],
  ['leave', 'logout', 'Leave'],
] as const;
type Opened = (typeof ACTIONS)[number][0];

/** Admins and billing people see all of an organisation; plain members see what is theirs. */
function Page({ organisation, role, tab }: PageProps) {
  const { id, name, createdAt, archivedAt } = organisation;
  const [opened, setOpened] = useState<Opened | null>(null);
  const close = () => setOpened(null);
  const names = useNames(id);
  const rights = rightsOf(role, archivedAt !== null);
  const { seesAll, manages, archives, leaves } = rights;
  const may: Record<Opened, boolean> = { rename: manages, archive: archives, leave: leaves };
  const parts = { organisationId: id, name, names, manages };
  return (
    <>
      <p class="crumbs">
        <a href={pathTo('organisations')}>Organisations</a> <span aria-hidden="true">/</span> {id}
      </p>
      <AccountOverview
        accountId={id}
        tab={tab}
        title={name}
        seesAll={seesAll}
        sub={
          <>
            <span class="mono">{id}</span> <CopyButton text={id} label="Copy organisation id" />
            {ACTIONS.filter(([action]) => may[action]).map(([action, icon, title]) => (
              <Button
                key={action}
                kind="quiet"
                icon={icon}
                aria-label={`${title} organisation`}
                title={title}
                onClick={() => setOpened(action)}
              />
            ))}
            <span>
              {role === undefined ? '' : `you are its ${role} · `}created <Moment at={createdAt} />
            </span>
            {archivedAt !== null && <Badge>archived</Badge>}
          </>
        }
        parts={[
          ...(seesAll
            ? ([
                ['budgets', 'Units and budgets', () => <BudgetsPart {...parts} />],
                ['members', 'Members', () => <Members {...parts} />],
              ] satisfies Part[])
            : ([
                ['budgets', 'Your budgets', () => <OwnBudgets organisation={organisation} names={names} />],
              ] satisfies Part[])),
          ['keys', 'API keys', () => <Keys accountId={id} rights={rights} />],
        ]}
      />
      {opened === 'rename' && <Rename organisation={organisation} onClose={close} />}
      {opened === 'archive' && <Archive organisation={organisation} onClose={close} />}
      {opened === 'leave' && <Leave organisation={organisation} onClose={close} />}
    </>
  );
}

function BudgetsPart(parts: Parameters<typeof Units>[0]) {
  return (
    <>
      <Units {...parts} />
      <Refusals accountId={parts.organisationId} names={parts.names} />
    </>
  );
}

function OwnBudgets({ organisation, names }: { organisation: Organisation; names: Names }) {
  const { id, archivedAt } = organisation;
  return (
    <Card
      title="What you may spend"
      hint="What is left of each budget that applies to you, the smallest first"
    >
      {archivedAt === null ? (
        <MaySpend accountId={id} memberId={session.value?.userId ?? ''} names={names} />
      ) : (
        <p class="note">An archived organisation pays for no more calls.</p>
      )}
    </Card>
  );
}

function Keys({ accountId, rights }: { accountId: string; rights: Rights }) {
  const { seesAll, manages, makesKeys } = rights;
  return (
    <Card
      title="API keys"
      hint={`${seesAll ? 'Those of all members' : 'Those that you made'}. The organisation pays for their calls`}
      actions={makesKeys && <NewKey accountId={accountId} />}
    >
      <KeyTable reader={readerOf(accountId)} canRotate={makesKeys} canRevoke={makesKeys || manages} />
    </Card>
  );
}

interface FormProps {
  organisation: Organisation;
  onClose: () => void;
}

function Rename({ organisation, onClose }: FormProps) {
  const [name, setName] = useState(organisation.name);
  const rename = useAction(async () => {
    await renameOrganisation(organisation.id, name.trim());
    onClose();
  });
  return (
    <Dialog title={`Rename ${organisation.name}`} onClose={onClose} isLocked={rename.isBusy}>
      <Form
        action="Rename"
        isBusy={rename.isBusy}
        isDisabled={name.trim() === ''}
        onSubmit={() => void rename.run()}
        onCancel={onClose}
      >
        {rename.problem && <ProblemNote problem={rename.problem} shown={['name']} />}
        <Field
          label="Name"
          name="name"
          value={name}
          onChange={setName}
          problem={rename.problem}
          maxLength={100}
          required
          autofocus
        />
      </Form>
    </Dialog>
  );
}

function Archive({ organisation: { id, name }, onClose }: FormProps) {
  const archive = useAction(async () => {
    await archiveOrganisation(id);
    toast(`${name} archived`, 'good');
    onClose();
  });
  return (
    <Confirm
      title={`Archive ${name}`}
      action="Archive organisation"
      isBusy={archive.isBusy}
      problem={archive.problem}
      onClose={onClose}
      onConfirm={() => void archive.run()}
    >
      <p>
        Its members can no longer spend from it, and its name, members and units no longer change. Its history
        can still be read. This cannot be undone, and it is refused while sessions of the organisation are
        active.
      </p>
    </Confirm>
  );
}

function Leave({ organisation: { id, name }, onClose }: FormProps) {
  const { route } = useLocation();
  const leave = useAction(async () => {
    await removeMember(id, session.value?.userId ?? '');
    toast(`You left ${name}`, 'good');
    onClose();
    route(pathTo('organisations'));
  });
  return (
    <Confirm
      title={`Leave ${name}`}
      action="Leave organisation"
      isBusy={leave.isBusy}
      problem={leave.problem}
      onClose={onClose}
      onConfirm={() => void leave.run()}
    >
      <p>
        You can no longer spend from this organisation. The API keys that you made in it are revoked
        immediately.
      </p>
    </Confirm>
  );
}
