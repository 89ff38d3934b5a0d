import { useState } from 'preact/hooks';
import {
  type AlertRule,
  alertRules,
  changeAlertRule,
  createAlertRule,
  deleteAlertRule,
  testAlertRule,
} from '../api/alerts';
import { useAction, usePages } from '../api/hooks';
import type { EventType } from '../api/webhooks';
import { Confirm, Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, Select } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import {
  AccountLink,
  Badge,
  Button,
  Card,
  CountNote,
  Empty,
  Moment,
  PageHeader,
  Segmented,
} from '../components/ui';
import { EventTypesField } from './webhook-forms';

type Opened = { do: 'create' } | { do: 'change' | 'delete'; rule: AlertRule } | null;

export function Alerts() {
  const pages = usePages<AlertRule>(['alert-rules'], alertRules);
  const [opened, setOpened] = useState<Opened>(null);
  const close = () => setOpened(null);
  const done = (text: string) => {
    toast(text, 'good');
    close();
  };
  return (
    <>
      <PageHeader title="Alerts" sub="Rules by which people get events by e-mail or in Slack">
        <Button kind="primary" icon="plus" onClick={() => setOpened({ do: 'create' })}>
          New rule
        </Button>
      </PageHeader>
      <Card>
        <Table
          {...pages}
          caption="Alert rules"
          keyOf={({ id }) => id}
          rowClass={({ isActive }) => (isActive ? '' : 'past')}
          empty={
            <Empty icon="bell" title="No rules yet">
              Create a rule so that people get a message, for example when credits run out or a call needs
              review.
            </Empty>
          }
          columns={[
            {
              header: 'Rule',
              cell: ({ name, recipients, target }) => (
                <span class="user-cell">
                  <strong class="clip">{name}</strong>
                  <span class="hint clip">{recipients?.join(', ') ?? target}</span>
                </span>
              ),
            },
            {
              header: 'Events',
              cell: ({ eventTypes }) => (
                <span class="clip" title={eventTypes?.join(', ') ?? ''}>
                  {eventTypes?.join(', ') ?? 'all events'}
                </span>
              ),
              isWide: true,
            },
            {
              header: 'Account',
              cell: ({ accountId }) => (accountId === null ? 'all' : <AccountLink accountId={accountId} />),
              isWide: true,
            },
            {
              header: 'Quiet hours',
              cell: ({ quietFrom, quietUntil, timeZone }) =>
                quietFrom === null ? '–' : `${quietFrom}–${quietUntil} ${timeZone}`,
              isWide: true,
            },
            { header: 'State', cell: (rule) => <State rule={rule} /> },
            {
              header: 'Last message',
              cell: ({ lastSentAt }) => (lastSentAt === null ? 'none yet' : <Moment at={lastSentAt} />),
              isWide: true,
            },
            { header: 'Actions', cell: (rule) => <Actions rule={rule} onOpen={setOpened} /> },
          ]}
        />
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="rule" />
      </Card>
      {opened?.do === 'create' && <AlertRuleForm onClose={close} onDone={() => done('Rule created')} />}
      {opened?.do === 'change' && (
        <AlertRuleForm rule={opened.rule} onClose={close} onDone={() => done('Rule updated')} />
      )}
      {opened?.do === 'delete' && (
        <DeleteRule rule={opened.rule} onClose={close} onDone={() => done('Rule deleted')} />
      )}
    </>
  );
}

function State({ rule: { isActive, failingSince, lastError } }: { rule: AlertRule }) {
  if (!isActive) return <Badge>off</Badge>;
  if (failingSince === null) return <Badge tone="good">active</Badge>;
  return (
    <span title={lastError ?? ''}>
      <Badge tone="bad">failing</Badge> since <Moment at={failingSince} />: {lastError}
    </span>
  );
}

function Actions({ rule, onOpen }: { rule: AlertRule; onOpen: (opened: Opened) => void }) {
  const { id, name, isActive } = rule;
  const test = useAction(
    async () => {
      const { isDelivered, error, status, milliseconds } = await testAlertRule(id);
      if (isDelivered) toast(`Test sent in ${milliseconds} ms`, 'good');
      else toast(`Test failed: ${error ?? status}`, 'bad');
    },
    { isRead: true },
  );
  const toggle = useAction(async () => {
    await changeAlertRule(id, { isActive: !isActive });
    toast(isActive ? 'Rule switched off' : 'Rule switched on', 'good');
  });
  const switched = isActive ? 'Switch off' : 'Switch on';
  return (
    <span class="row-actions">
      <Button
        kind="quiet"
        icon="send"
        isBusy={test.isBusy}
        aria-label={`Send a test of ${name}`}
        title="Send a test"
        onClick={() => void test.run()}
      />
      <Button
        kind="quiet"
        icon={isActive ? 'pause' : 'play'}
        isBusy={toggle.isBusy}
        aria-label={`${switched} ${name}`}
        title={switched}
        onClick={() => void toggle.run()}
      />
      <Button
        kind="quiet"
        icon="edit"
        aria-label={`Edit ${name}`}
        title="Edit"
        onClick={() => onOpen({ do: 'change', rule })}
      />
      <Button
        kind="quiet"
        icon="trash"
        aria-label={`Delete ${name}`}
        title="Delete"
        onClick={() => onOpen({ do: 'delete', rule })}
      />
    </span>
  );
}

interface RuleDialogProps {
  onClose: () => void;
  onDone: () => void;
}

function DeleteRule({ rule, onClose, onDone }: RuleDialogProps & { rule: AlertRule }) {
  const remove = useAction(async () => {
    await deleteAlertRule(rule.id);
    onDone();
  });
  return (
    <Confirm
      title="Delete rule"
      action="Delete"
      isBusy={remove.isBusy}
      problem={remove.problem}
      onClose={onClose}
      onConfirm={() => void remove.run()}
    >
      <p>“{rule.name}” sends no more messages, and what waits for the end of its quiet hours is not sent.</p>
    </Confirm>
  );
}

const GROUPS = [
  ['0', 'at once'],
  ['60', 'after 1 minute'],
  ['300', 'after 5 minutes'],
  ['3600', 'after 1 hour'],
] as const;

const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** @param rule the rule to edit; left out, a new one is created */
function AlertRuleForm({ rule, onClose, onDone }: RuleDialogProps & { rule?: AlertRule }) {
  const [name, setName] = useState(rule?.name ?? '');
  const [channel, setChannel] = useState<AlertRule['channel']>(rule?.channel ?? 'email');
  const [recipients, setRecipients] = useState(rule?.recipients?.join(', ') ?? '');
  const [url, setUrl] = useState('');
  const [types, setTypes] = useState<EventType[] | null>(rule?.eventTypes ?? null);
  const [account, setAccount] = useState(rule?.accountId ?? '');
  const [quietFrom, setQuietFrom] = useState(rule?.quietFrom ?? '');
  const [quietUntil, setQuietUntil] = useState(rule?.quietUntil ?? '');
  const [timeZone, setTimeZone] = useState(rule?.timeZone ?? zone());
  const [group, setGroup] = useState(String(rule?.groupSeconds ?? 60));
  const save = useAction(async () => {
    const textOrNull = (text: string) => (text.trim() === '' ? null : text.trim());
    const addresses = recipients.split(/[\s,;]+/).filter((address) => address !== '');
    const body = {
      name: name.trim(),
      ...(channel === 'email' ? { recipients: addresses } : url.trim() === '' ? {} : { url: url.trim() }),
      eventTypes: types,
      accountId: textOrNull(account),
      quietFrom: textOrNull(quietFrom),
      quietUntil: textOrNull(quietUntil),
      timeZone: timeZone.trim(),
      groupSeconds: Number(group),
    };
    if (rule === undefined) await createAlertRule({ ...body, channel, isActive: true });
    else await changeAlertRule(rule.id, body);
    onDone();
  });
  const groups = GROUPS.some(([seconds]) => seconds === group)
    ? GROUPS
    : [...GROUPS, [group, `after ${group} s`] as const];
  const hasTarget = channel === 'email' ? recipients.trim() !== '' : url.trim() !== '' || rule !== undefined;
  const field = { problem: save.problem, spellcheck: false };
  return (
    <Dialog
      title={rule === undefined ? 'New alert rule' : 'Edit alert rule'}
      onClose={onClose}
      isLocked={save.isBusy}
    >
      <Form
        action={rule === undefined ? 'Create rule' : 'Save'}
        isBusy={save.isBusy}
        isDisabled={name.trim() === '' || !hasTarget || types?.length === 0 || timeZone.trim() === ''}
        onSubmit={() => void save.run()}
        onCancel={onClose}
      >
        {save.problem && (
          <ProblemNote
            problem={save.problem}
            shown={['name', 'recipients', 'url', 'accountId', 'quietFrom', 'quietUntil', 'timeZone']}
          />
        )}
        <Field
          label="Name"
          name="name"
          value={name}
          onChange={setName}
          {...field}
          maxLength={100}
          required
          autofocus
        />
        {rule === undefined && (
          <Segmented
            label="Channel"
            value={channel}
            options={[
              ['email', 'E-mail'],
              ['slack', 'Slack'],
            ]}
            onChange={setChannel}
          />
        )}
        {channel === 'email' ? (
          <Field
            label="Recipients"
            name="recipients"
            value={recipients}
            onChange={setRecipients}
            {...field}
            required
            hint="E-mail addresses, separated by commas"
          />
        ) : (
          <Field
            label="Webhook URL"
            name="url"
            value={url}
            onChange={setUrl}
            {...field}
            maxLength={2000}
            required={rule === undefined}
            hint={
              rule === undefined
                ? 'An incoming webhook of Slack or of a compatible service. It is not shown again'
                : `Now at ${rule.target}. Leave it empty to keep it`
            }
          />
        )}
        <EventTypesField value={types} onChange={setTypes} />
        <Field
          label="Account"
          name="accountId"
          value={account}
          onChange={setAccount}
          {...field}
          hint="Id of a user or an organisation; empty: every account"
        />
        <Select label="Send" value={group} options={groups} onChange={setGroup} />
        <Field
          label="Quiet from"
          name="quietFrom"
          value={quietFrom}
          onChange={setQuietFrom}
          {...field}
          hint="Such as 22:00. What happens in quiet hours comes in one message when they end"
        />
        <Field
          label="Quiet until"
          name="quietUntil"
          value={quietUntil}
          onChange={setQuietUntil}
          {...field}
          hint="Such as 07:00"
        />
        <Field
          label="Time zone"
          name="timeZone"
          value={timeZone}
          onChange={setTimeZone}
          {...field}
          required
          hint="Such as Europe/Berlin"
        />
      </Form>
    </Dialog>
  );
}
