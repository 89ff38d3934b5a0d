import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { newIdempotencyKey } from '../api/client';
import { settings } from '../api/development';
import { useAction, usePages } from '../api/hooks';
import { createOrganisation, myAccounts, type Organisation, organisations } from '../api/organisations';
import { isSupervisor } from '../api/session';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Badge, Button, Card, CountNote, Credits, Empty, Moment, PageHeader } from '../components/ui';
import { pathToAccount, useOpen } from '../navigation';

export function Organisations() {
  const [open, setOpen] = useOpen<'organisation'>();
  const pages = usePages<Organisation>(['organisations'], organisations);
  const mine = useQuery(myAccounts);
  const accountOf = (id: string) => mine.data?.find(({ accountId }) => accountId === id);
  return (
    <>
      <PageHeader
        title="Organisations"
        sub={
          isSupervisor.value
            ? 'Accounts that several users spend from'
            : 'Organisations that you are a member of'
        }
      >
        {(isSupervisor.value || settings.value?.usersCreateOrganisations) && (
          <Button kind="primary" icon="plus" onClick={() => setOpen('organisation')}>
            New organisation
          </Button>
        )}
      </PageHeader>
      <Card>
        <Table
          {...pages}
          caption="Organisations"
          keyOf={({ id }) => id}
          rowClass={({ archivedAt }) => (archivedAt === null ? 'linked' : 'linked past')}
          empty={
            <Empty icon="organisations" title="No organisations">
              Members of an organisation spend from its credits, within its budgets.
            </Empty>
          }
          columns={[
            {
              header: 'Organisation',
              cell: ({ id, name }) => (
                <a href={pathToAccount(id)} class="user-cell">
                  <strong class="clip">{name}</strong>
                  <span class="hint clip">{id}</span>
                </a>
              ),
            },
            { header: 'Your role', cell: ({ id }) => accountOf(id)?.role ?? '–' },
            {
              header: 'Available',
              cell: ({ id }) => {
                const account = accountOf(id);
                return account === undefined ? '–' : <Credits value={account.availableCredits} />;
              },
              isNumber: true,
            },
            {
              header: 'State',
              cell: ({ archivedAt }) =>
                archivedAt === null ? <Badge tone="good">active</Badge> : <Badge>archived</Badge>,
              isWide: true,
            },
            { header: 'Created', cell: ({ createdAt }) => <Moment at={createdAt} />, isWide: true },
          ]}
        />
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="organisation" />
      </Card>
      {open === 'organisation' && <NewOrganisation onClose={() => setOpen(null)} />}
    </>
  );
}

function NewOrganisation({ onClose }: { onClose: () => void }) {
  const { route } = useLocation();
  const [name, setName] = useState('');
  const [id, setId] = useState('');
  const [key] = useState(newIdempotencyKey);
  const create = useAction(async () => {
    const body = { name: name.trim(), ...(id.trim() === '' ? {} : { id: id.trim() }) };
    const made = await createOrganisation(body, key);
    toast(`Organisation ${made.name} created; you are its owner`, 'good');
    onClose();
    route(pathToAccount(made.id));
  });
  return (
    <Dialog title="New organisation" onClose={onClose} isLocked={create.isBusy}>
      <Form
        action="Create organisation"
        isBusy={create.isBusy}
        isDisabled={name.trim() === ''}
        onSubmit={() => void create.run()}
        onCancel={onClose}
      >
        {create.problem && <ProblemNote problem={create.problem} shown={['name', 'id']} />}
        <Field
          label="Name"
          name="name"
          value={name}
          onChange={setName}
          problem={create.problem}
          maxLength={100}
          required
          autofocus
        />
        <Field
          label="Id"
          name="id"
          value={id}
          onChange={setId}
          problem={create.problem}
          spellcheck={false}
          hint="Such as org:acme. Blank = made of the name. It cannot be changed later"
        />
      </Form>
    </Dialog>
  );
}
