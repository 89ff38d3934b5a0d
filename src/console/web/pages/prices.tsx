import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { answer, api, type PricingRule } from '../api/client';
import { searched, useAction, usePages } from '../api/hooks';
import { isAdmin } from '../api/session';
import { Confirm } from '../components/dialog';
import { SearchField } from '../components/search';
import { Table } from '../components/table';
import { toast } from '../components/toasts';
import {
  Badge,
  Button,
  Card,
  CountNote,
  Empty,
  Moment,
  PageHeader,
  Skeleton,
  Trouble,
} from '../components/ui';
import { price, time } from '../format';
import { pathTo } from '../navigation';
import { PriceForm } from './price-form';
import { PriceImportDialog } from './price-import';

const LIMIT = 200;

export function Prices() {
  const { route } = useLocation();
  const [text, setText] = useState('');
  const [open, setOpen] = useState<'rule' | 'import' | null>(null);
  const pages = usePages<PricingRule>(
    ['prices'],
    async (cursor, signal) => {
      const { items, nextCursor } = await answer(
        api.GET('/api/pricing', {
          params: { query: { limit: LIMIT, ...(cursor === undefined ? {} : { cursor }) } },
          signal,
        }),
      );
      return { items, nextCursor: nextCursor ?? null };
    },
    { keepsAll: true },
  );
  const wanted = text.trim().toLowerCase();
  const shown = searched(pages, wanted, ({ modelId }) => modelId);
  // Sorting what is still being read would let the rows jump.
  const sorted = pages.hasMore ? shown : [...shown].sort((a, b) => a.modelId.localeCompare(b.modelId));
  return (
    <>
      <PageHeader
        title="Prices"
        sub="In force now, in credits per 1,000 tokens; the blended price is for calls that tell only a total"
      >
        {isAdmin.value && (
          <>
            <Button icon="upload" onClick={() => setOpen('import')}>
              Import
            </Button>
            <Button kind="primary" icon="plus" onClick={() => setOpen('rule')}>
              New rule
            </Button>
          </>
        )}
      </PageHeader>
      <SearchField
        label="Search models"
        value={text}
        onChange={setText}
        placeholder="Model"
        onEnter={() => {
          const model = shown.length === 1 ? shown[0]?.modelId : text.trim();
          if (model) route(pathTo('prices', model));
        }}
      />
      <Card>
        <Table
          {...pages}
          rows={sorted}
          caption="Prices in force"
          keyOf={(rule) => rule.id}
          empty={
            <Empty
              icon="prices"
              title={wanted === '' ? 'No rule is in force' : `No rule for “${text.trim()}”`}
            >
              {wanted === '' ? (
                'Built-in prices apply to a few models, a fallback to the others.'
              ) : (
                <a href={pathTo('prices', text.trim())}>See what this model costs without a rule</a>
              )}
            </Empty>
          }
          columns={[
            {
              header: 'Model',
              cell: (rule) => (
                <a class="clip" href={pathTo('prices', rule.modelId)} title={rule.modelId}>
                  {rule.modelId}
                </a>
              ),
            },
            ...priceColumns(),
            { header: 'Since', cell: (rule) => <Moment at={rule.effectiveFrom} />, isWide: true },
            {
              header: 'Until',
              cell: (rule) =>
                rule.effectiveTo === null ? (
                  '–'
                ) : (
                  <Badge tone="warn">
                    ends <Moment at={rule.effectiveTo} />
                  </Badge>
                ),
              isWide: true,
            },
          ]}
        />
        <CountNote count={shown.length} hasMore={pages.hasMore} one="rule" />
      </Card>
      {open === 'rule' && <PriceForm onClose={() => setOpen(null)} />}
      {open === 'import' && <PriceImportDialog onClose={() => setOpen(null)} />}
    </>
  );
}

const priceColumns = () => [
  { header: 'Blended', cell: (rule: PricingRule) => price(rule.pricePerThousandTokens), isNumber: true },
  {
    header: 'Input',
    cell: (rule: PricingRule) => price(rule.pricePerThousandInputTokens) ?? '–',
    isNumber: true,
    isWide: true,
  },
  {
    header: 'Output',
    cell: (rule: PricingRule) => price(rule.pricePerThousandOutputTokens) ?? '–',
    isNumber: true,
    isWide: true,
  },
  {
    header: 'Cached',
    cell: (rule: PricingRule) => price(rule.pricePerThousandCachedInputTokens) ?? '–',
    isNumber: true,
    isWide: true,
  },
  {
    header: 'Provider, USD',
    cell: (rule: PricingRule) =>
      price(rule.providerCostPerThousandTokens) ?? price(rule.providerCostPerThousandOutputTokens) ?? '–',
    isNumber: true,
    isWide: true,
  },
];

export const ModelPage = ({ modelId }: { modelId: string }) => <Model key={modelId} modelId={modelId} />;

function Model({ modelId }: { modelId: string }) {
  const [isOpen, setOpen] = useState(false);
  const [ending, setEnding] = useState<{ rule: PricingRule; isUpcoming: boolean } | null>(null);
  const query = useQuery({
    queryKey: ['model', modelId],
    queryFn: ({ signal }) =>
      answer(api.GET('/api/pricing/{id}', { params: { path: { id: modelId } }, signal })),
  });
  const quote = useQuery({
    queryKey: ['quote', modelId],
    queryFn: ({ signal }) =>
      answer(api.POST('/api/credits/calculate', { body: { modelId, tokens: 1000 }, signal })),
  });
  const end = useAction(async (rule: PricingRule) => {
    await answer(api.DELETE('/api/pricing/{id}', { params: { path: { id: rule.id as never } } }));
    toast(`The price of ${modelId} is ended`, 'good');
    setEnding(null);
  });
  const { data } = query;
  const current = data?.current ?? null;
  const rows = [
    ...(data?.upcoming ?? []).map((rule) => ({ rule, state: 'upcoming' as const })),
    ...(current === null ? [] : [{ rule: current, state: 'in force' as const }]),
    ...(data?.history ?? []).map((rule) => ({ rule, state: 'past' as const })),
  ];
  return (
    <>
      <p class="crumbs">
        <a href={pathTo('prices')}>Prices</a> <span aria-hidden="true">/</span> {modelId}
      </p>
      <PageHeader title={modelId} sub="Prices in credits per 1,000 tokens; provider cost in USD per 1,000">
        <a class="button plain" href={`${pathTo('usage')}?operation=${encodeURIComponent(modelId)}`}>
          {isAdmin.value ? 'Usage' : 'Your usage'}
        </a>
        {isAdmin.value && (
          <Button kind="primary" icon="plus" onClick={() => setOpen(true)}>
            New rule
          </Button>
        )}
      </PageHeader>
      {query.error && data === undefined ? (
        <Trouble problem={query.error} retry={() => void query.refetch()} />
      ) : data === undefined ? (
        <Skeleton />
      ) : (
        <>
          {current === null && quote.data && (
            <p class="note warn">
              No rule is in force.{' '}
              {quote.data.pricingSource === 'default'
                ? 'The built-in price applies'
                : 'Nobody knows this model: the fallback applies'}
              : {price(quote.data.pricePerThousandTokens)} credits per 1,000 tokens.
            </p>
          )}
          {current === null && quote.error && (
            <p class="note bad">Calls of this model are refused: {quote.error.message}</p>
          )}
          <Card title="Rules" hint="Upcoming first, then the one in force, then history">
            <Table
              caption={`Rules of ${modelId}`}
              rows={rows}
              keyOf={({ rule }) => rule.id}
              rowClass={({ state }) => (state === 'past' ? 'past' : '')}
              empty={<Empty icon="prices" title="This model never had a rule" />}
              columns={[
                {
                  header: 'State',
                  cell: ({ state }) => (
                    <Badge tone={state === 'in force' ? 'good' : state === 'upcoming' ? 'accent' : 'neutral'}>
                      {state}
                    </Badge>
                  ),
                },
                ...priceColumns().map(({ cell, ...column }) => ({
                  ...column,
                  cell: ({ rule }: { rule: PricingRule }) => cell(rule),
                })),
                { header: 'From', cell: ({ rule }) => time(rule.effectiveFrom) },
                {
                  header: 'To',
                  cell: ({ rule }) => (rule.effectiveTo === null ? '–' : time(rule.effectiveTo)),
                  isWide: true,
                },
                {
                  header: 'By',
                  cell: ({ rule }) => <span class="clip">{rule.createdBy}</span>,
                  isWide: true,
                },
                ...(isAdmin.value
                  ? [
                      {
                        header: <span class="unseen">Actions</span>,
                        cell: ({ rule, state }: (typeof rows)[number]) =>
                          state !== 'past' && (
                            <Button
                              kind="quiet"
                              onClick={() => {
                                end.forget();
                                setEnding({ rule, isUpcoming: state === 'upcoming' });
                              }}
                              aria-label={`${state === 'upcoming' ? 'Take back' : 'End now'}: rule ${rule.id}`}
                            >
                              {state === 'upcoming' ? 'Take back' : 'End now'}
                            </Button>
                          ),
                        isNumber: true,
                      },
                    ]
                  : []),
              ]}
            />
          </Card>
        </>
      )}
      {isOpen && <PriceForm modelId={modelId} onClose={() => setOpen(false)} />}
      {ending && (
        <Confirm
          title={ending.isUpcoming ? 'Take the upcoming rule back' : 'End the rule in force'}
          action={ending.isUpcoming ? 'Take back' : 'End now'}
          isBusy={end.isBusy}
          problem={end.problem}
          onClose={() => setEnding(null)}
          onConfirm={() => void end.run(ending.rule)}
        >
          <p>
            {ending.isUpcoming
              ? `The rule that would begin on ${time(ending.rule.effectiveFrom)} disappears, and the one that it had ended goes on.`
              : `From now on ${modelId} costs what it costs without a rule, until another begins. Sessions that run keep the price that they started with.`}
          </p>
        </Confirm>
      )}
    </>
  );
}
