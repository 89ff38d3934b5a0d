import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { useAction } from '../api/hooks';
import type { Names } from '../api/limits';
import { useNames } from '../api/names';
import {
  myAccounts,
  type Organisation,
  organisation as read,
  renameOrganisation,
  rightsOf,
} from '../api/organisations';
import { session } from '../api/session';
import { CopyButton } from '../components/copy';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form } from '../components/form';
import { Badge, Button, Card, Moment, PageHeader, Skeleton, Trouble } from '../components/ui';
import { pathTo } from '../navigation';
import { AccountOverview } from './account-overview';
import { MaySpend } from './may-spend';
import { Members } from './members';
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

/** Admins and billing people see all of an organisation; plain members see what is theirs. */
function Page({ organisation, role, tab }: PageProps) {
  const { id, name, createdAt, archivedAt } = organisation;
  const [isRenaming, setRenaming] = useState(false);
  const names = useNames(id);
  const { seesAll, manages } = rightsOf(role, archivedAt !== null);
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
            {manages && (
              <Button
                kind="quiet"
                icon="edit"
                aria-label="Rename organisation"
                title="Rename"
                onClick={() => setRenaming(true)}
              />
            )}
            <span>
              {role === undefined ? '' : `you are its ${role} · `}created <Moment at={createdAt} />
            </span>
            {archivedAt !== null && <Badge>archived</Badge>}
          </>
        }
        parts={
          seesAll
            ? [
                ['budgets', 'Units and budgets', () => <BudgetsPart {...parts} />],
                ['members', 'Members', () => <Members {...parts} />],
              ]
            : [['budgets', 'Your budgets', () => <OwnBudgets organisationId={id} names={names} />]]
        }
      />
      {isRenaming && <Rename organisation={organisation} onClose={() => setRenaming(false)} />}
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

function OwnBudgets({ organisationId, names }: { organisationId: string; names: Names }) {
  return (
    <Card
      title="What you may spend"
      hint="What is left of each budget that applies to you, the smallest first"
    >
      <MaySpend accountId={organisationId} memberId={session.value?.userId ?? ''} names={names} />
    </Card>
  );
}

function Rename({ organisation, onClose }: { organisation: Organisation; onClose: () => void }) {
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
