import { useState } from 'preact/hooks';
import { readerOf } from '../api/accounts';
import { answer, api, type CreatedApiKey, type Schemas } from '../api/client';
import { useAction } from '../api/hooks';
import { session } from '../api/session';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form, parseWhole } from '../components/form';
import { Button, Card, PageHeader } from '../components/ui';
import { CreatedKey } from './created-key';
import { KeyTable } from './key-table';

type Permission = Schemas['CreateApiKeyDto']['permissions'] extends (infer Item)[] | undefined ? Item : never;
const PERMISSIONS: [Permission, string][] = [
  ['credits:read', 'Read the balance and the ledger'],
  ['usage:read', 'Read usage and statistics'],
  ['usage:write', 'Charge and record calls'],
  ['sessions:write', 'Run streaming sessions'],
  ['pricing:read', 'Read prices and calculate costs'],
];

export function ApiKeys() {
  const [isOpen, setOpen] = useState(false);
  const [created, setCreated] = useState<CreatedApiKey | null>(null);
  return (
    <>
      <PageHeader title="API keys" sub="Keys let programs act on your behalf with limited permissions">
        <Button kind="primary" icon="plus" onClick={() => setOpen(true)}>
          New key
        </Button>
      </PageHeader>
      <Card>
        <KeyTable reader={readerOf(session.value?.userId ?? '')} />
      </Card>
      {isOpen && (
        <CreateKey
          onClose={() => setOpen(false)}
          onDone={(key) => {
            setOpen(false);
            setCreated(key);
          }}
        />
      )}
      {created && <CreatedKey created={created} onClose={() => setCreated(null)} />}
    </>
  );
}

function CreateKey({ onClose, onDone }: { onClose: () => void; onDone: (key: CreatedApiKey) => void }) {
  const [name, setName] = useState('');
  const [permissions, setPermissions] = useState<Permission[]>([]);
  const [limit, setLimit] = useState('');
  const [expires, setExpires] = useState('');
  const isLimitWrong = limit !== '' && parseWhole(limit) === null;
  const create = useAction(async () => {
    const body: Schemas['CreateApiKeyDto'] = { name: name.trim(), permissions };
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
