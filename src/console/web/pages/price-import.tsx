import { useState } from 'preact/hooks';
import type { PriceImport } from '../api/client';
import { useAction } from '../api/hooks';
import { upload } from '../api/upload';
import { Dialog, ProblemNote } from '../components/dialog';
import { Field } from '../components/form';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import { Badge, Button, Stat } from '../components/ui';
import { plural, price, whole } from '../format';

type Change = PriceImport['changes'][number];

const PROVIDER_COSTS = [
  'providerCostPerThousandTokens',
  'providerCostPerThousandInputTokens',
  'providerCostPerThousandOutputTokens',
  'providerCostPerThousandCachedInputTokens',
] as const;

interface Chosen {
  name: string;
  text: string;
  models: number;
}

/** Imports prices from a file: first a preview, then the import itself. */
export function PriceImportDialog({ onClose }: { onClose: () => void }) {
  const [file, setFile] = useState<Chosen | null>(null);
  const [fileError, setFileError] = useState<string | null>(null);
  const [markup, setMarkup] = useState('1.2');
  const [models, setModels] = useState('');
  const [includeFree, setIncludeFree] = useState(false);
  const [sent, setSent] = useState<number | null>(null);
  const [result, setResult] = useState<{ isDryRun: boolean; answer: PriceImport } | null>(null);
  const send = useAction(async (isDryRun: boolean) => {
    if (file === null) return;
    const query = new URLSearchParams({
      markup,
      dryRun: String(isDryRun),
      includeFree: String(includeFree),
      ...(models.trim() === '' ? {} : { models: models.trim() }),
    });
    setSent(0);
    try {
      const answered = await upload<PriceImport>(
        `/api/pricing/import?${query.toString()}`,
        file.text,
        setSent,
      );
      setResult({ isDryRun, answer: answered });
      if (!isDryRun) toast(`Imported ${plural(answered.created, 'price')}`, 'good');
    } finally {
      setSent(null);
    }
  });
  const choose = async (chosen: File | undefined) => {
    setResult(null);
    setFileError(null);
    setFile(null);
    if (chosen === undefined) return;
    try {
      const text = await chosen.text();
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
        throw new Error('not a map');
      setFile({ name: chosen.name, text, models: Object.keys(parsed).length });
    } catch {
      setFileError(
        'This file is not a JSON map of models. It must have the format of LiteLLM’s model_prices_and_context_window.json.',
      );
    }
  };
  const changeOption = (set: (value: string) => void) => (value: string) => {
    set(value);
    setResult(null);
  };
  const isImported = result !== null && !result.isDryRun;
  return (
    <Dialog title="Import prices" onClose={onClose} isLocked={send.isBusy} isWide>
      <div class="dialog-body">
        {!isImported && (
          <>
            <div class="field">
              <label for="price-file">File</label>
              <input
                id="price-file"
                type="file"
                accept=".json,application/json"
                aria-describedby="price-file-hint"
                onChange={(event) => void choose(event.currentTarget.files?.[0])}
              />
              <p
                id="price-file-hint"
                class={fileError === null ? 'hint' : 'field-error'}
                role={fileError === null ? undefined : 'alert'}
              >
                {fileError ??
                  (file === null
                    ? 'LiteLLM’s model_prices_and_context_window.json, complete or partial'
                    : `${file.name}: ${plural(file.models, 'model')}`)}
              </p>
            </div>
            <div class="row">
              <Field
                label="Markup"
                name="markup"
                value={markup}
                onChange={changeOption(setMarkup)}
                problem={send.problem}
                inputMode="decimal"
                required
                hint="User price = provider price × markup"
              />
              <Field
                label="Models"
                name="models"
                value={models}
                onChange={changeOption(setModels)}
                problem={send.problem}
                hint="For example gpt-4o*,claude-*. Blank = all"
                spellcheck={false}
              />
            </div>
            <label class="check">
              <input
                type="checkbox"
                checked={includeFree}
                onChange={(event) => {
                  setIncludeFree(event.currentTarget.checked);
                  setResult(null);
                }}
              />
              Treat $0 as free
            </label>
          </>
        )}
        {send.problem && <ProblemNote problem={send.problem} shown={['markup', 'models']} />}
        {sent !== null && (
          <div class="progress" role="status">
            <progress max={1} {...(sent < 1 ? { value: sent } : {})} aria-label="Import" />
            <span class="hint">{sent < 1 ? `Uploading, ${Math.round(sent * 100)} %` : 'Processing…'}</span>
          </div>
        )}
        {result && <Result result={result.answer} isDryRun={result.isDryRun} />}
      </div>
      <footer class="dialog-footer">
        <Button onClick={onClose} disabled={send.isBusy}>
          {isImported ? 'Close' : 'Cancel'}
        </Button>
        {!isImported && (
          <>
            <Button
              kind={result === null ? 'primary' : 'plain'}
              isBusy={send.isBusy && result === null}
              disabled={file === null || send.isBusy}
              onClick={() => void send.run(true)}
            >
              Preview changes
            </Button>
            {result !== null && (
              <Button
                kind="primary"
                isBusy={send.isBusy}
                disabled={result.answer.created === 0}
                onClick={() => void send.run(false)}
              >
                {`Import ${plural(result.answer.created, 'price')}`}
              </Button>
            )}
          </>
        )}
      </footer>
    </Dialog>
  );
}

function Result({ result, isDryRun }: { result: PriceImport; isDryRun: boolean }) {
  const remarks = [
    ...result.skipped.map(({ modelId, reason }) => ({ modelId, what: 'skipped', text: reason })),
    ...result.notes.map(({ modelId, note }) => ({ modelId, what: 'note', text: note })),
  ];
  return (
    <section aria-live="polite">
      <h3>{isDryRun ? 'Preview' : 'Imported'}</h3>
      <div class="stats four small">
        <Stat label="New rules" value={whole(result.created)} note="for new models and new prices" />
        <Stat label="Ended rules" value={whole(result.closed)} note="replaced by a new price" />
        <Stat label="Unchanged" value={whole(result.unchanged)} note="already up to date" />
        <Stat
          label="Skipped"
          value={whole(result.skipped.length)}
          tone={result.skipped.length > 0 ? 'warn' : 'neutral'}
          note="see the reasons below"
        />
      </div>
      {result.changes.length > 0 && (
        <>
          <Table
            caption="Price changes"
            rows={result.changes}
            keyOf={({ modelId }) => modelId}
            empty="None"
            columns={[
              {
                header: 'Model',
                cell: ({ modelId }) => (
                  <span class="clip" title={modelId}>
                    {modelId}
                  </span>
                ),
              },
              ...(
                [
                  ['Blended', 'pricePerThousandTokens'],
                  ['Input', 'pricePerThousandInputTokens'],
                  ['Output', 'pricePerThousandOutputTokens'],
                  ['Cached', 'pricePerThousandCachedInputTokens'],
                ] as const
              ).map(([header, name]) => ({
                header,
                cell: ({ before, after }: Change) =>
                  before === null || price(before[name]) === price(after[name])
                    ? price(after[name])
                    : `${price(before[name]) ?? '–'} → ${price(after[name])}`,
                isNumber: true,
                isWide: name !== 'pricePerThousandTokens',
              })),
              {
                header: <span class="unseen">Kind</span>,
                cell: ({ before, after }) =>
                  before === null ? (
                    <Badge tone="accent">new</Badge>
                  ) : (
                    PROVIDER_COSTS.some((name) => price(before[name]) !== price(after[name])) && (
                      <Badge tone="neutral">provider cost</Badge>
                    )
                  ),
                isNumber: true,
              },
            ]}
          />
          {result.created > result.changes.length && (
            <p class="hint count-note">First {whole(result.changes.length)} by name</p>
          )}
        </>
      )}
      {remarks.length > 0 && (
        <Table
          caption="Skipped models and notes"
          rows={remarks}
          keyOf={({ modelId, what, text }) => `${modelId} ${what} ${text}`}
          empty="None"
          columns={[
            {
              header: 'Model',
              cell: ({ modelId }) => (
                <span class="clip" title={modelId}>
                  {modelId}
                </span>
              ),
            },
            { header: '', label: 'Kind', cell: ({ what }) => what },
            {
              header: 'Reason',
              cell: ({ text }) => <span class="wrap">{text}</span>,
            },
          ]}
        />
      )}
    </section>
  );
}
