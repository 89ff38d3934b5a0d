import { useState } from 'preact/hooks';
import { useAction } from '../api/hooks';
import {
  changeWebhook,
  type CreatedWebhook,
  createWebhook,
  type EventType,
  replaySince,
  rotateSecret,
  type Webhook,
} from '../api/webhooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, Select } from '../components/form';
import { Segmented } from '../components/ui';

/** Every event type and what it means; a type that is missing here does not compile. */
const TYPES: Record<EventType, string> = {
  'credits.low': 'Credits at or below the threshold',
  'credits.exhausted': 'No credits left',
  'credits.recovered': 'Credits available again',
  'credits.expiring': 'Credits expiring soon',
  'credits.expired': 'Credits expired unused',
  'session.timed_out': 'Session timed out',
  'usage.needs_review': 'Call needs review',
  'usage.settled': 'Call in review settled',
  'api_key.created': 'API key created',
  'api_key.revoked': 'API key revoked',
  'api_key.expiring': 'API key expiring soon',
  'api_key.expired': 'API key expired',
  'budget.threshold': 'Budget used up to an alert',
  'budget.exhausted': 'Budget used up',
  'budget.recovered': 'Budget has room again',
  'limit.reached': 'Limit refused a call',
  'organisation.created': 'Organisation created',
  'organisation.renamed': 'Organisation renamed',
  'organisation.archived': 'Organisation archived',
  'organisation.member_added': 'Member added',
  'organisation.member_changed': 'Member changed',
  'organisation.member_removed': 'Member removed',
};
const NAMES = Object.keys(TYPES) as EventType[];

interface WebhookFormProps {
  /** The endpoint to edit; left out, a new one is created. */
  webhook?: Webhook;
  onCreated?: (webhook: CreatedWebhook) => void;
  onChanged?: () => void;
  onClose: () => void;
}

export function WebhookForm({ webhook, onCreated, onChanged, onClose }: WebhookFormProps) {
  const [url, setUrl] = useState(webhook?.url ?? '');
  const [description, setDescription] = useState(webhook?.description ?? '');
  const [types, setTypes] = useState<EventType[] | null>(webhook?.eventTypes ?? null);
  const save = useAction(async () => {
    const body = {
      url: url.trim(),
      description: description.trim() === '' ? null : description.trim(),
      eventTypes: types,
    };
    if (webhook === undefined) onCreated?.(await createWebhook({ ...body, isActive: true }));
    else {
      await changeWebhook(webhook.id, body);
      onChanged?.();
    }
  });
  return (
    <Dialog
      title={webhook === undefined ? 'New webhook endpoint' : 'Edit endpoint'}
      onClose={onClose}
      isLocked={save.isBusy}
    >
      <Form
        action={webhook === undefined ? 'Create endpoint' : 'Save'}
        isBusy={save.isBusy}
        isDisabled={url.trim() === '' || types?.length === 0}
        onSubmit={() => void save.run()}
        onCancel={onClose}
      >
        {save.problem && <ProblemNote problem={save.problem} shown={['url', 'description']} />}
        <Field
          label="URL"
          name="url"
          value={url}
          onChange={setUrl}
          problem={save.problem}
          maxLength={2000}
          spellcheck={false}
          required
          autofocus
          hint="Must use HTTPS and be reachable from the public internet, unless the service is configured otherwise"
        />
        <Field
          label="Description"
          name="description"
          value={description}
          onChange={setDescription}
          problem={save.problem}
          maxLength={200}
          hint="Internal note"
        />
        <EventTypesField value={types} onChange={setTypes} />
      </Form>
    </Dialog>
  );
}

interface EventTypesFieldProps {
  /** Null: all, including types added later. */
  value: EventType[] | null;
  onChange: (types: EventType[] | null) => void;
}

export function EventTypesField({ value, onChange }: EventTypesFieldProps) {
  const toggle = (type: EventType, isOn: boolean) =>
    onChange(NAMES.filter((name) => (name === type ? isOn : value?.includes(name))));
  return (
    <fieldset>
      <legend>Events</legend>
      <Segmented
        label="Which events"
        value={value === null ? 'all' : 'some'}
        options={[
          ['all', 'All events'],
          ['some', 'Selected events'],
        ]}
        onChange={(which) => onChange(which === 'all' ? null : [])}
      />
      {value === null ? (
        <p class="hint">Includes event types added in the future.</p>
      ) : (
        NAMES.map((type) => (
          <label key={type} class="check">
            <input
              type="checkbox"
              checked={value.includes(type)}
              onChange={(event) => toggle(type, event.currentTarget.checked)}
            />
            {TYPES[type]} <span class="hint mono">{type}</span>
          </label>
        ))
      )}
    </fieldset>
  );
}

const OVERLAPS: [seconds: string, text: string][] = [
  ['0', 'immediately'],
  ['3600', 'in 1 hour'],
  ['86400', 'in 1 day'],
  ['604800', 'in 1 week'],
];

interface RotateSecretProps {
  webhook: Webhook;
  onClose: () => void;
  onDone: (webhook: CreatedWebhook) => void;
}

export function RotateSecret({ webhook, onClose, onDone }: RotateSecretProps) {
  const [overlap, setOverlap] = useState('86400');
  const rotate = useAction(async () => onDone(await rotateSecret(webhook.id, Number(overlap))));
  return (
    <Dialog title="Rotate secret" onClose={onClose} isLocked={rotate.isBusy}>
      <Form action="Rotate" isBusy={rotate.isBusy} onSubmit={() => void rotate.run()} onCancel={onClose}>
        {rotate.problem && <ProblemNote problem={rotate.problem} />}
        <p>
          You get a new secret. Until the old secret expires, messages are signed with both, so that you can
          update the receiver.
        </p>
        <Select label="Old secret expires" value={overlap} options={OVERLAPS} onChange={setOverlap} />
      </Form>
    </Dialog>
  );
}

/** A time in the format of a field for local time. */
const localTime = (time: number) =>
  new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
const DAY = 86_400_000;

interface ReplayManyProps {
  webhook: Webhook;
  onClose: () => void;
  onDone: (replayed: number) => void;
}

export function ReplayMany({ webhook, onClose, onDone }: ReplayManyProps) {
  const [since, setSince] = useState(localTime(Date.now() - DAY));
  const replay = useAction(async () => {
    onDone(await replaySince(webhook.id, new Date(since).toISOString()));
  });
  return (
    <Dialog title="Replay missed events" onClose={onClose} isLocked={replay.isBusy}>
      <Form
        action="Replay"
        isBusy={replay.isBusy}
        isDisabled={since === ''}
        onSubmit={() => void replay.run()}
        onCancel={onClose}
      >
        {replay.problem && <ProblemNote problem={replay.problem} shown={['since']} />}
        <p>
          Delivers the events since then that failed permanently or happened while the endpoint was paused or
          disabled. Delivered events are not repeated.
        </p>
        <Field
          label="Since"
          name="since"
          type="datetime-local"
          value={since}
          onChange={setSince}
          problem={replay.problem}
          required
          autofocus
          hint="Local time"
        />
      </Form>
    </Dialog>
  );
}
