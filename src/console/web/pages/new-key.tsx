import { useState } from 'preact/hooks';
import { answer, api, type CreatedApiKey, type Schemas } from '../api/client';
import { useAction } from '../api/hooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, parseWhole } from '../components/form';
import { Button } from '../components/ui';
import { useOpen } from '../navigation';
import { CreatedKey } from './created-key';

type Permission = Schemas['Permission'];
const PERMISSIONS: [Permission, string][] = [
  ['credits:read', 'Read the balance and the ledger'],
  ['usage:read', 'Read usage and statistics'],
  ['usage:write', 'Charge and record calls'],
  ['sessions:write', 'Run streaming sessions'],
  ['pricing:read', 'Read prices and calculate costs'],
];

interface NewKeyProps {
  /** The account that pays for the calls of the key. */
  accountId: string;
  kind?: 'primary' | 'plain';
}

/** A button that makes an API key, and shows the key once. */
export function NewKey({ accountId, kind = 'plain' }: NewKeyProps) {
  const [open, setOpen] = useOpen<'key'>();
  const [created, setCreated] = useState<CreatedApiKey | null>(null);
  return (
    <>
      <Button kind={kind} icon="plus" onClick={() => setOpen('key')}>
        New key
      </Button>
      {open === 'key' && (
        <CreateKey
          accountId={accountId}
          onClose={() => setOpen(null)}
          onDone={(key) => {
            setOpen(null);
            setCreated(key);
          }}
        />
      )}
      {created && <CreatedKey created={created} onClose={() => setCreated(null)} />}
    </>
  );
}

interface CreateKeyProps {
  accountId: string;
  onClose: () => void;
  onDone: (key: CreatedApiKey) => void;
}

function CreateKey({ accountId, onClose, onDone }: CreateKeyProps) {
  const [name, setName] = useState('');
  const [permissions, setPermissions] = useState<Permission[]>([]);
  const [limit, setLimit] = useState('');
  const [expires, setExpires] = useState('');
  const isLimitWrong = limit !== '' && parseWhole(limit) === null;
  const create = useAction(async () => {
    const body: Schemas['CreateApiKeyDto'] = { accountId, name: name.trim(), permissions };
    if (limit !== '') body.creditLimit = parseWhole(limit);
    if (expires !== '') body.expiresAt = new Date(expires).toISOString();
    onDone(await answer(api.POST('/api/api-keys', { body })));
  });
  const toggle = (permission: Permission, isOn: boolean) =>
    setPermissions((before) => (isOn ? [...before, permission] : before.filter((one) => one !== permission)));
  return (
    <Dialog title="New API key" onClose={onClose} isLocked={create.isBusy}>
      <Form
        action="Create key"
        isBusy={create.isBusy}
        isDisabled={name.trim() === '' || isLimitWrong}
        onSubmit={() => void create.run()}
        onCancel={onClose}
      >
        {create.problem && (
          <ProblemNote problem={create.problem} shown={['name', 'creditLimit', 'expiresAt']} />
        )}
        <Field
          label="Name"
          name="name"
          value={name}
          onChange={setName}
          problem={create.problem}
          maxLength={100}
          required
          autofocus
          hint="What the key is used for"
        />
        <fieldset>
          <legend>Permissions</legend>
          {PERMISSIONS.map(([permission, text]) => (
            <label key={permission} class="check">
              <input
                type="checkbox"
                checked={permissions.includes(permission)}
                onChange={(event) => toggle(permission, event.currentTarget.checked)}
              />
              {text} <span class="hint mono">{permission}</span>
            </label>
          ))}
        </fieldset>
        <div class="row">
          <Field
            label="Credit limit"
            name="creditLimit"
            value={limit}
            onChange={setLimit}
            problem={create.problem}
            inputMode="numeric"
            hint="Maximum total spending"
            error={isLimitWrong ? 'Enter a whole number' : undefined}
          />
          <Field
            label="Expires"
            name="expiresAt"
            type="datetime-local"
            value={expires}
            onChange={setExpires}
            problem={create.problem}
            hint="Local time. Blank = never expires"
          />
        </div>
      </Form>
    </Dialog>
  );
}
