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

/** Every type there is, and what it tells; one that is missing here does not compile. */
const TYPES: Record<EventType, string> = {
  'credits.low': 'Credits have come down to the threshold',
  'credits.exhausted': 'No credits are left',
  'credits.recovered': 'Credits are there again',
  'credits.expiring': 'Credits expire soon',
  'credits.expired': 'Credits have expired unspent',
  'session.timed_out': 'A session gave no sign of life',
  'usage.needs_review': 'A call waits for a review',
  'usage.settled': 'It waits no more',
  'api_key.created': 'An API key was made',
  'api_key.revoked': 'An API key was ended',
  'api_key.expiring': 'An API key expires soon',
  'api_key.expired': 'An API key has expired',
};
const NAMES = Object.keys(TYPES) as EventType[];

interface WebhookFormProps {
  /** To be changed; left out: a new one is made. */
  webhook?: Webhook;
  onCreated?: (webhook: CreatedWebhook) => void;
  onChanged?: () => void;
  onClose: () => void;
}

export function WebhookForm({ webhook, onCreated, onChanged, onClose }: WebhookFormProps) {
  const [url, setUrl] = useState(webhook?.url ?? '');
  const [description, setDescription] = useState(webhook?.description ?? '');
  const [which, setWhich] = useState<'all' | 'some'>(webhook?.eventTypes ? 'some' : 'all');
  const [types, setTypes] = useState<EventType[]>(webhook?.eventTypes ?? []);
  const save = useAction(async () => {
    const body = {
      url: url.trim(),
      description: description.trim() === '' ? null : description.trim(),
      eventTypes: which === 'all' ? null : types,
    };
    if (webhook === undefined) onCreated?.(await createWebhook({ ...body, isActive: true }));
    else {
      await changeWebhook(webhook.id, body);
      onChanged?.();
    }
  });
  const toggle = (type: EventType, isOn: boolean) =>
    setTypes((before) => NAMES.filter((name) => (name === type ? isOn : before.includes(name))));
  return (
    <Dialog
      title={webhook === undefined ? 'New webhook endpoint' : 'Change the endpoint'}
      onClose={onClose}
      isLocked={save.isBusy}
    >
      <Form
        action={webhook === undefined ? 'Create endpoint' : 'Save'}
        isBusy={save.isBusy}
        isDisabled={url.trim() === '' || (which === 'some' && types.length === 0)}
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
          hint="https, and reachable from the public internet unless the service is set up otherwise"
        />
        <Field
          label="Description"
          name="description"
          value={description}
          onChange={setDescription}
          problem={save.problem}
          maxLength={200}
          hint="For people"
        />
        <fieldset>
          <legend>It gets</legend>
          <Segmented
            label="Which events it gets"
            value={which}
            options={[
              ['all', 'Everything'],
              ['some', 'Only these'],
            ]}
            onChange={setWhich}
          />
          {which === 'all' ? (
            <p class="hint">Also types of events that are yet to come.</p>
          ) : (
            NAMES.map((type) => (
              <label key={type} class="check">
                <input
                  type="checkbox"
                  checked={types.includes(type)}
                  onChange={(event) => toggle(type, event.currentTarget.checked)}
                />
                {TYPES[type]} <span class="hint mono">{type}</span>
              </label>
            ))
          )}
        </fieldset>
      </Form>
    </Dialog>
  );
}

const OVERLAPS: [seconds: string, text: string][] = [
  ['0', 'at once'],
  ['3600', 'after an hour'],
  ['86400', 'after a day'],
  ['604800', 'after a week'],
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
    <Dialog title="Rotate the secret" onClose={onClose} isLocked={rotate.isBusy}>
      <Form action="Rotate" isBusy={rotate.isBusy} onSubmit={() => void rotate.run()} onCancel={onClose}>
        {rotate.problem && <ProblemNote problem={rotate.problem} />}
        <p>
          You get a new secret. Until the old one ends, messages bear a signature by each, so that the
          receiver can be moved over in peace.
        </p>
        <Select label="The old secret ends" value={overlap} options={OVERLAPS} onChange={setOverlap} />
      </Form>
    </Dialog>
  );
}

/** A moment as a field for local time has it. */
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
    const { replayed } = await replaySince(webhook.id, new Date(since).toISOString());
    onDone(replayed);
  });
  return (
    <Dialog title="Replay what it missed" onClose={onClose} isLocked={replay.isBusy}>
      <Form
        action="Replay"
        isBusy={replay.isBusy}
        isDisabled={since === ''}
        onSubmit={() => void replay.run()}
        onCancel={onClose}
      >
        {replay.problem && <ProblemNote problem={replay.problem} shown={['since']} />}
        <p>
          Delivers again what was given up since then, and what happened while the endpoint was switched off;
          what it has taken is not repeated. At most 10,000 at a time.
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
          hint="Your time"
        />
      </Form>
    </Dialog>
  );
}
