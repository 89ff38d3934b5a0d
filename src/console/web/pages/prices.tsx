import { useQuery } from '@tanstack/preact-query';
import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso/router';
import { answer, api, type PricingRule } from '../api/client';
import { searched, useAction, usePages } from '../api/hooks';
import { seesProviderCost } from '../api/development';
import { isAdmin } from '../api/session';
import { Confirm } from '../components/dialog';
import { AlignedPrice, PER, priceUnit, PriceUnitSwitch, shownPrice } from '../components/price-unit';
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
import { pathTo, useOpen } from '../navigation';
import { PriceForm } from './price-form';
import { PriceImportDialog } from './price-import';

const LIMIT = 200;

export function Prices() {
  const { route } = useLocation();
  const [text, setText] = useState('');
  const [open, setOpen] = useOpen<'rule' | 'import'>();
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
  // Rows would jump if they were sorted while the list is still loading.
  const sorted = pages.hasMore ? shown : [...shown].sort((a, b) => a.modelId.localeCompare(b.modelId));
  return (
    <>
      <PageHeader
        title="Prices"
        sub={`Current prices in credits per ${PER[priceUnit.value]}${seesProviderCost() ? ', provider cost in USD' : ''}. The blended price applies to calls that report only a total.`}
      >
        <PriceUnitSwitch />
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
          caption="Current prices"
          keyOf={(rule) => rule.id}
          empty={
            <Empty
              icon="prices"
              title={wanted === '' ? 'No current price rules' : `No price rule for “${text.trim()}”`}
            >
              {wanted === '' ? (
                'Built-in prices apply to a few models, the fallback to all others.'
              ) : (
                <a href={pathTo('prices', text.trim())}>See the price of this model without a rule</a>
              )}
            </Empty>
          }
          columns={[
            {
              header: 'Model',
              cell: (rule) => (
                <a class="clip narrow" href={pathTo('prices', rule.modelId)} title={rule.modelId}>
                  {rule.modelId}
                </a>
              ),
            },
            ...priceColumns(),
            { header: 'From', cell: (rule) => <Moment at={rule.effectiveFrom} />, isWide: true },
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
      {isAdmin.value && open === 'rule' && <PriceForm onClose={() => setOpen(null)} />}
      {isAdmin.value && open === 'import' && <PriceImportDialog onClose={() => setOpen(null)} />}
    </>
  );
}

type PriceName = Extract<keyof PricingRule, `${'price' | 'providerCost'}PerThousand${string}`>;
/** The first price that a rule has: one of a class of its own, or the blended one that applies instead. */
const firstOf = (rule: PricingRule, names: PriceName[]) =>
  names.map((name) => rule[name]).find((value) => value !== null);

const priceColumns = () => {
  const column = (header: string, names: PriceName[], { isWide = true, prefix = '' } = {}) => ({
    header,
    cell: (rule: PricingRule) => <AlignedPrice value={firstOf(rule, names)} prefix={prefix} />,
    isNumber: true,
    isWide,
  });
  const cost = (header: string, name: PriceName) =>
    seesProviderCost() ? [column(header, [name, 'providerCostPerThousandTokens'], { prefix: '$' })] : [];
  return [
    column('Blended', ['pricePerThousandTokens'], { isWide: false }),
    column('Input', ['pricePerThousandInputTokens']),
    ...cost('Input cost', 'providerCostPerThousandInputTokens'),
    column('Output', ['pricePerThousandOutputTokens']),
    ...cost('Output cost', 'providerCostPerThousandOutputTokens'),
    column('Cached', ['pricePerThousandCachedInputTokens']),
  ];
};

export const ModelPage = ({ modelId }: { modelId: string }) => <Model key={modelId} modelId={modelId} />;

/** `3 credits per 1,000 tokens`, in the unit that is shown. */
function creditsPer(stored: string | null): string {
  if (stored === null) return 'no price for text tokens';
  const shown = shownPrice(price(stored) ?? '0');
  return `${shown} ${Number(shown) === 1 ? 'credit' : 'credits'} per ${PER[priceUnit.value]}`;
}

interface Ending {
  rule: PricingRule;
  isUpcoming: boolean;
}

function Model({ modelId }: { modelId: string }) {
  const [isOpen, setOpen] = useState(false);
  const [ending, setEnding] = useState<Ending | null>(null);
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
  const end = useAction(async ({ rule, isUpcoming }: Ending) => {
    await answer(api.DELETE('/api/pricing/{id}', { params: { path: { id: rule.id as never } } }));
    toast(`Price rule of ${modelId} ${isUpcoming ? 'deleted' : 'ended'}`, 'good');
    setEnding(null);
  });
  const { data } = query;
  const current = data?.current ?? null;
  const rows = [
    ...(data?.upcoming ?? []).map((rule) => ({ rule, state: 'upcoming' as const })),
    ...(current === null ? [] : [{ rule: current, state: 'current' as const }]),
    ...(data?.history ?? []).map((rule) => ({ rule, state: 'past' as const })),
  ];
  return (
    <>
      <p class="crumbs">
        <a href={pathTo('prices')}>Prices</a> <span aria-hidden="true">/</span> {modelId}
      </p>
      <PageHeader
        title={modelId}
        sub={`Prices in credits per ${PER[priceUnit.value]}${seesProviderCost() ? ', provider cost in USD' : ''}`}
      >
        <PriceUnitSwitch />
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
              No price set. {quote.data.pricingSource === 'default' ? 'Built-in price' : 'Fallback'}:{' '}
              {creditsPer(quote.data.pricePerThousandTokens)}.
            </p>
          )}
          {current === null && quote.error && (
            <p class="note bad">Calls to this model are refused: {quote.error.message}</p>
          )}
          <Card title="Rules" hint="Upcoming, current, then past">
            <Table
              caption={`Rules of ${modelId}`}
              rows={rows}
              keyOf={({ rule }) => rule.id}
              rowClass={({ state }) => (state === 'past' ? 'past' : '')}
              empty={<Empty icon="prices" title="No price rules for this model yet" />}
              columns={[
                {
                  header: 'State',
                  cell: ({ state }) => (
                    <Badge tone={state === 'current' ? 'good' : state === 'upcoming' ? 'accent' : 'neutral'}>
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
                  header: 'Created by',
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
                              aria-label={`${state === 'upcoming' ? 'Delete' : 'End now'}: rule ${rule.id}`}
                            >
                              {state === 'upcoming' ? 'Delete' : 'End now'}
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
          title={ending.isUpcoming ? 'Delete the upcoming rule' : 'End the current rule'}
          action={ending.isUpcoming ? 'Delete' : 'End now'}
          isBusy={end.isBusy}
          problem={end.problem}
          onClose={() => setEnding(null)}
          onConfirm={() => void end.run(ending)}
        >
          <p>
            {ending.isUpcoming
              ? `The rule that starts on ${time(ending.rule.effectiveFrom)} will be deleted. The rule before it continues.`
              : `From now on the built-in or fallback price applies to ${modelId}, until another rule starts. Active sessions keep the price they started with.`}
          </p>
        </Confirm>
      )}
    </>
  );
}
