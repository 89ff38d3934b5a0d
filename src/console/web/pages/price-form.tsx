import { useQuery } from '@tanstack/preact-query';
import { useRef, useState } from 'preact/hooks';
import { answer, api, type PricingRule, type Schemas } from '../api/client';
import { useAction } from '../api/hooks';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field, Form } from '../components/form';
import { PER, priceUnit, PriceUnitSwitch, shownPrice, storedPrice } from '../components/price-unit';
import { toast } from '../components/toasts';
import { Badge } from '../components/ui';
import { price, time } from '../format';
import { PriceEffect } from './price-effect';

const FIELDS = [
  ['pricePerThousandTokens', 'Blended'],
  ['pricePerThousandInputTokens', 'Input'],
  ['pricePerThousandOutputTokens', 'Output'],
  ['pricePerThousandCachedInputTokens', 'Cached input'],
  ['providerCostPerThousandTokens', 'Blended cost'],
  ['providerCostPerThousandInputTokens', 'Input cost'],
  ['providerCostPerThousandOutputTokens', 'Output cost'],
  ['providerCostPerThousandCachedInputTokens', 'Cached cost'],
] as const;
type PriceName = (typeof FIELDS)[number][0];
const DECIMAL = /^\d{1,10}(\.\d{1,18})?$/;
const SHOWN = ['modelId', 'effectiveFrom', 'effectiveTo', ...FIELDS.map(([name]) => name)];

interface PriceFormProps {
  modelId?: string;
  onClose: () => void;
}

/** The form for a new rule, compared with the current one. */
export function PriceForm({ modelId: given, onClose }: PriceFormProps) {
  const [modelId, setModelId] = useState(given ?? '');
  const [from, setFrom] = useState('');
  const [to, setTo] = useState('');
  // In the unit that is shown.
  const [changes, setChanges] = useState<Partial<Record<PriceName, string>>>({});
  const unit = priceUnit.value;
  const shownIn = useRef(unit);
  if (shownIn.current !== unit) {
    const before = shownIn.current;
    shownIn.current = unit;
    const converted = Object.entries(changes).map(([name, value]) => [
      name,
      DECIMAL.test(value) ? shownPrice(storedPrice(value, before), unit) : value,
    ]);
    setChanges(Object.fromEntries(converted) as typeof changes);
  }
  const known = useQuery({
    queryKey: ['model', modelId.trim()],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/pricing/{id}', { params: { path: { id: modelId.trim() } }, signal })),
    enabled: modelId.trim() !== '',
  });
  const current: PricingRule | null = known.data?.current ?? null;
  // A price that was not edited keeps its current value.
  const currentOf = (name: PriceName) => {
    const stored = price(current?.[name]);
    return stored === null ? null : shownPrice(stored);
  };
  const valueOf = (name: PriceName) => changes[name] ?? currentOf(name) ?? '';
  const wrong = FIELDS.filter(([name]) => valueOf(name) !== '' && !DECIMAL.test(valueOf(name)));
  const isValid = modelId.trim() !== '' && valueOf('pricePerThousandTokens') !== '' && wrong.length === 0;
  const rule: Schemas['CreatePricingRuleDto'] = { modelId: modelId.trim() };
  for (const [name] of FIELDS)
    if (valueOf(name) !== '' && DECIMAL.test(valueOf(name))) rule[name] = storedPrice(valueOf(name));
  const create = useAction(async () => {
    if (!isValid) return;
    const body = { ...rule };
    if (from !== '') body.effectiveFrom = new Date(from).toISOString();
    if (to !== '') body.effectiveTo = new Date(to).toISOString();
    const made = await answer(api.POST('/api/pricing', { body }));
    toast(`New price for ${made.modelId} from ${time(made.effectiveFrom)}`, 'good');
    onClose();
  });
  const field = ([name, label]: (typeof FIELDS)[number]) => (
    <Field
      key={name}
      label={label}
      name={name}
      value={valueOf(name)}
      inputMode="decimal"
      problem={create.problem}
      required={name === 'pricePerThousandTokens'}
      error={valueOf(name) !== '' && !DECIMAL.test(valueOf(name)) ? 'Enter a number such as 0.25' : undefined}
      onChange={(value) => setChanges((before) => ({ ...before, [name]: value.trim() }))}
    />
  );
  return (
    <Dialog
      title={given === undefined ? 'New price rule' : `New rule for ${given}`}
      onClose={onClose}
      isLocked={create.isBusy}
      isWide
    >
      <Form
        action="Create rule"
        isBusy={create.isBusy}
        isDisabled={!isValid}
        onSubmit={() => void create.run()}
        onCancel={onClose}
      >
        {create.problem && <ProblemNote problem={create.problem} shown={SHOWN} />}
        {given === undefined && (
          <Field
            label="Model"
            name="modelId"
            value={modelId}
            onChange={setModelId}
            problem={create.problem}
            maxLength={100}
            required
            autofocus
            spellcheck={false}
          />
        )}
        <PriceUnitSwitch />
        <fieldset>
          <legend>User price (credits per {PER[unit]})</legend>
          <div class="row four">{FIELDS.slice(0, 4).map(field)}</div>
        </fieldset>
        <fieldset>
          <legend>Provider cost (USD per {PER[unit]})</legend>
          <div class="row four">{FIELDS.slice(4).map(field)}</div>
        </fieldset>
        <div class="row">
          <Field
            label="From"
            name="effectiveFrom"
            type="datetime-local"
            value={from}
            onChange={setFrom}
            problem={create.problem}
            hint="Local time. Blank = now"
          />
          <Field
            label="Until"
            name="effectiveTo"
            type="datetime-local"
            value={to}
            onChange={setTo}
            problem={create.problem}
            hint="Blank = until the next rule"
          />
        </div>
        <div class="chips" role="group" aria-label="Common start times">
          {startTimes().map(([label, start]) => (
            <button type="button" class="chip" key={label} onClick={() => setFrom(start)}>
              {label}
            </button>
          ))}
        </div>
        <Preview current={current} currentOf={currentOf} valueOf={valueOf} from={from} to={to} />
        {isValid && <PriceEffect rule={rule} />}
      </Form>
    </Dialog>
  );
}

/** Start times at midnight, in the local time that the field expects. */
function startTimes(now = new Date()): [label: string, start: string][] {
  const midnight = (days: number) => {
    const day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + days);
    return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}T00:00`;
  };
  const two = (value: number) => String(value).padStart(2, '0');
  const daysLeft = new Date(now.getFullYear(), now.getMonth() + 1, 0).getDate() - now.getDate();
  return [
    ['Now', ''],
    ['Tomorrow', midnight(1)],
    ['Next Monday', midnight((8 - now.getDay()) % 7 || 7)],
    ['Next month', midnight(daysLeft + 1)],
  ];
}

function Preview({
  current,
  currentOf,
  valueOf,
  from,
  to,
}: {
  current: PricingRule | null;
  currentOf: (name: PriceName) => string | null;
  valueOf: (name: PriceName) => string;
  from: string;
  to: string;
}) {
  const changed = FIELDS.map(([name, label]) => ({
    label,
    before: currentOf(name),
    after: valueOf(name) === '' ? null : valueOf(name),
  })).filter(
    ({ before, after }) => (before === null) !== (after === null) || Number(before) !== Number(after),
  );
  return (
    <section class="preview" aria-live="polite" aria-label="What changes">
      <h3>What changes</h3>
      {changed.length === 0 ? (
        <p class="hint">No changes yet.</p>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Price</th>
              <th scope="col" class="numeric">
                Current
              </th>
              <th scope="col" class="numeric">
                New
              </th>
              <th scope="col" class="numeric">
                Change
              </th>
            </tr>
          </thead>
          <tbody>
            {changed.map(({ label, before, after }) => (
              <tr key={label}>
                <th scope="row">{label}</th>
                <td class="numeric">{before ?? '–'}</td>
                <td class="numeric">{after ?? '–'}</td>
                <td class="numeric">{share(before, after)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p class="hint">
        {current === null
          ? 'This model has no current rule.'
          : `The current rule (from ${time(current.effectiveFrom)}) ends ${from === '' ? 'immediately' : `on ${time(from)}`}. Active sessions keep its price.`}
        {to !== '' && ` From ${time(to)} the built-in or fallback price applies, until another rule starts.`}
      </p>
    </section>
  );
}

function share(before: string | null, after: string | null) {
  if (before === null) return <Badge tone="accent">new</Badge>;
  if (after === null) return <Badge tone="warn">none</Badge>;
  if (Number(before) === 0) return '–';
  const change = (Number(after) / Number(before) - 1) * 100;
  return `${change >= 0 ? '+' : '−'}${Math.abs(change).toFixed(1)} %`;
}
