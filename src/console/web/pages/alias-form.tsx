import { useState } from 'preact/hooks';
import { answer, api } from '../api/client';
import { useAction } from '../api/hooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form } from '../components/form';
import { toast } from '../components/toasts';

/** The name that the model probably has in the price list: without providers in front, and without a date at its end. */
const likelyModel = (alias: string) =>
  (alias.split('/').at(-1) ?? '').replace(/[-@](\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, '');

/** Makes a model without a price another name of one that has a price. */
export function AliasForm({ alias, onClose }: { alias: string; onClose: () => void }) {
  const [modelId, setModelId] = useState(likelyModel(alias));
  const create = useAction(async () => {
    await answer(api.POST('/api/pricing/aliases', { body: { alias, modelId: modelId.trim() } }));
    toast(`${alias} now costs what ${modelId.trim()} costs`, 'good');
    onClose();
  });
  return (
    <Dialog title={`Alias ${alias}`} onClose={onClose} isLocked={create.isBusy}>
      <Form
        action="Create alias"
        isBusy={create.isBusy}
        isDisabled={modelId.trim() === '' || modelId.trim() === alias}
        onSubmit={() => void create.run()}
        onCancel={onClose}
      >
        {create.problem && <ProblemNote problem={create.problem} shown={['modelId']} />}
        <Field
          label="Costs what this model costs"
          name="modelId"
          value={modelId}
          onChange={setModelId}
          problem={create.problem}
          maxLength={100}
          required
          autofocus
          spellcheck={false}
          hint="Applies to calls from now on"
        />
      </Form>
    </Dialog>
  );
}
