import { useState } from 'preact/hooks';
import { newIdempotencyKey } from '../api/client';
import { useAction, usePages } from '../api/hooks';
import { choicesOf, type Names } from '../api/limits';
import {
  addMember,
  changeMember,
  type Member,
  type MemberRole,
  members,
  removeMember,
} from '../api/organisations';
import { Confirm, Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, Select } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Button, Card, CountNote, Empty, Moment } from '../components/ui';
import { MaySpendDialog } from './may-spend';

const ROLES: [MemberRole, string][] = [
  ['member', 'member (spends)'],
  ['billing', 'billing (sees everything)'],
  ['admin', 'admin (everything but owners)'],
  ['owner', 'owner (everything)'],
];

interface MembersProps {
  organisationId: string;
  names: Names;
  manages: boolean;
}

type Opened = { what: 'add' } | { what: 'spend' | 'change' | 'remove'; member: Member };

export function Members({ organisationId, names, manages }: MembersProps) {
  const pages = usePages<Member>(['members', organisationId], (cursor, signal) =>
    members(organisationId, cursor, signal),
  );
  const [opened, setOpened] = useState<Opened | null>(null);
  const close = () => setOpened(null);
  const action = (what: 'change' | 'remove', icon: 'edit' | 'trash', title: string, member: Member) => (
    <Button
      kind="quiet"
      icon={icon}
      title={title}
      aria-label={`${title} ${member.userId}`}
      onClick={() => setOpened({ what, member })}
    />
  );
  return (
    <Card
      title="Members"
      hint="Open a member to see what they may spend"
      actions={
        manages && (
          <Button icon="plus" onClick={() => setOpened({ what: 'add' })}>
            Add member
          </Button>
        )
      }
    >
      <Table
        {...pages}
        caption="Members"
        keyOf={({ userId }) => userId}
        empty={<Empty icon="users" title="No members" />}
        columns={[
          {
            header: 'Member',
            cell: (member) => (
              <button
                type="button"
                class="link clip"
                aria-label={`What ${member.userId} may spend`}
                onClick={() => setOpened({ what: 'spend', member })}
              >
                {member.userId}
              </button>
            ),
          },
          { header: 'Role', cell: ({ role }) => role },
          {
            header: 'Unit',
            cell: ({ unitId }) => (
              <span class="clip">
                {unitId === null ? '–' : (names.get(`unit ${unitId}`) ?? `#${unitId}`)}
              </span>
            ),
          },
          { header: 'Added', cell: ({ addedAt }) => <Moment at={addedAt} />, isWide: true },
          {
            header: <span class="unseen">Actions</span>,
            cell: (member) =>
              manages && (
                <span class="row-actions">
                  {action('change', 'edit', 'Change', member)}
                  {action('remove', 'trash', 'Remove', member)}
                </span>
              ),
            isNumber: true,
          },
        ]}
      />
      <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="member" />
      {opened?.what === 'add' && <MemberForm {...{ organisationId, names }} onClose={close} />}
      {opened?.what === 'change' && (
        <MemberForm {...{ organisationId, names }} member={opened.member} onClose={close} />
      )}
      {opened?.what === 'remove' && (
        <RemoveMember organisationId={organisationId} userId={opened.member.userId} onClose={close} />
      )}
      {opened?.what === 'spend' && (
        <MaySpendDialog
          accountId={organisationId}
          memberId={opened.member.userId}
          names={names}
          onClose={close}
        />
      )}
    </Card>
  );
}

interface MemberFormProps {
  organisationId: string;
  names: Names;
  /** The member to change; left out, a new one is added. */
  member?: Member;
  onClose: () => void;
}

function MemberForm({ organisationId, names, member, onClose }: MemberFormProps) {
  const [user, setUser] = useState(member?.userId ?? '');
  const [role, setRole] = useState<MemberRole>(member?.role ?? 'member');
  const [unit, setUnit] = useState(String(member?.unitId ?? ''));
  const [key] = useState(newIdempotencyKey);
  const userId = user.trim();
  const save = useAction(async () => {
    if (member)
      await changeMember(organisationId, userId, { role, unitId: unit === '' ? null : Number(unit) });
    else
      await addMember(
        organisationId,
        { userId, role, ...(unit === '' ? {} : { unitId: Number(unit) }) },
        key,
      );
    toast(member ? `${userId} changed` : `${userId} added`, 'good');
    onClose();
  });
  return (
    <Dialog title={member ? `Change ${userId}` : 'Add member'} onClose={onClose} isLocked={save.isBusy}>
      <Form
        action={member ? 'Save' : 'Add member'}
        isBusy={save.isBusy}
        isDisabled={userId === ''}
        onSubmit={() => void save.run()}
        onCancel={onClose}
      >
        {save.problem && <ProblemNote problem={save.problem} shown={['userId']} />}
        {!member && (
          <Field
            label="User"
            name="userId"
            value={user}
            onChange={setUser}
            problem={save.problem}
            required
            autofocus
            spellcheck={false}
            hint="The user’s id, also before their first sign-in"
          />
        )}
        <Select label="Role" value={role} options={ROLES} onChange={(next) => setRole(next as MemberRole)} />
        <Select
          label="Unit"
          value={unit}
          options={[['', 'none'], ...choicesOf(names, 'unit')]}
          onChange={setUnit}
        />
      </Form>
    </Dialog>
  );
}

function RemoveMember({
  organisationId,
  userId,
  onClose,
}: {
  organisationId: string;
  userId: string;
  onClose: () => void;
}) {
  const remove = useAction(async () => {
    await removeMember(organisationId, userId);
    toast(`${userId} removed`, 'good');
    onClose();
  });
  return (
    <Confirm
      title={`Remove ${userId}`}
      action="Remove member"
      isBusy={remove.isBusy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => void remove.run()}
    >
      <p>
        {userId} can no longer spend from this organisation. The API keys that they made in it are revoked
        immediately.
      </p>
    </Confirm>
  );
}
