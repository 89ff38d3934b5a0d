import type { SystemStats } from '../api/client';
import { isRest } from '../components/credits-by-model';
import { Table } from '../components/table';
import { Badge, Card, Credits, Empty } from '../components/ui';
import { percent, plural, usd, whole } from '../format';
import { pathTo, useSearch } from '../navigation';

type Margin = SystemStats['marginByModel'][string];
interface Row {
  /** Null: the rest of a map that is cut off. */
  name: string | null;
  kind: 'model' | 'operation' | 'total';
  margin: Margin;
}
const RESTS = { model: 'Other models', operation: 'Other operations', total: 'Total' };

const rowsOf = (stats: SystemStats, map: 'marginByModel' | 'marginByOperation', kind: Row['kind']): Row[] =>
  Object.entries(stats[map])
    .map(([name, margin]) => ({
      name: isRest(name, stats.truncated.includes(map)) ? null : name,
      kind,
      margin,
    }))
    .sort((a, b) => b.margin.credits - a.margin.credits);

/** Income and cost of each model and of each operation of other services, with links to its prices and to its calls. */
export function ModelMargins({ stats, days }: { stats: SystemStats; days: string[] }) {
  const { search } = useSearch();
  const rows = [
    ...rowsOf(stats, 'marginByModel', 'model'),
    ...rowsOf(stats, 'marginByOperation', 'operation'),
  ];
  const most = Math.max(1, ...rows.map(({ margin }) => margin.credits));
  const total: Row = {
    name: null,
    kind: 'total',
    margin: { ...stats, credits: stats.totalCredits, records: stats.totalRecords },
  };
  return (
    <Card title="By model" class="two-thirds" hint="Income, cost and margin are of the same calls">
      <Table
        caption="Usage by model"
        rows={rows}
        {...(rows.length > 0 ? { total } : {})}
        keyOf={({ name, kind }) => `${kind} ${name}`}
        empty={
          <Empty icon="usage" title="No usage in this period">
            Choose a longer period, or wait for the first call.
          </Empty>
        }
        columns={[
          {
            header: 'Model',
            figure: 'Model',
            cell: ({ name, kind }) =>
              name === null ? (
                RESTS[kind]
              ) : (
                <>
                  <a class="clip narrow" href={pathTo('prices', name)} title={name}>
                    {name}
                  </a>
                  {kind === 'operation' && <span class="hint under"> other service</span>}
                </>
              ),
          },
          {
            header: 'Credits',
            figure: 'Credits used',
            cell: ({ name, kind, margin: { credits } }) =>
              kind === 'total' ? (
                <Credits value={credits} />
              ) : (
                <span class="meter-cell">
                  <Credits value={credits} />
                  <meter
                    min={0}
                    max={most}
                    value={credits}
                    aria-label={`Credits used by ${name ?? RESTS[kind]}`}
                  />
                </span>
              ),
            isNumber: true,
          },
          {
            header: 'Calls',
            cell: ({ name, margin: { records } }) =>
              name === null ? (
                whole(records)
              ) : (
                <a href={usageOf(name, days, search)} aria-label={`${plural(records, 'call')} to ${name}`}>
                  {whole(records)}
                </a>
              ),
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Income',
            figure: 'Income at known cost',
            cell: ({ margin: { costedIncomeUsd, incomeUsd } }) => {
              const unknown = Number(incomeUsd) - Number(costedIncomeUsd ?? 0);
              return (
                <>
                  {usd(costedIncomeUsd, '–')}{' '}
                  {unknown > 0 && <span class="hint under">+{usd(unknown)} unknown</span>}
                </>
              );
            },
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Cost',
            figure: 'Provider cost',
            cell: ({ margin: { providerCostUsd } }) => usd(providerCostUsd, '–'),
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Margin',
            figure: 'Margin',
            cell: ({ margin: { marginUsd, costedIncomeUsd } }) => {
              if (marginUsd === null) return <Badge>unknown</Badge>;
              return (
                <>
                  <span class={Number(marginUsd) < 0 ? 'bad-text' : ''}>{usd(marginUsd)}</span>{' '}
                  <span class="hint under">{percent(Number(marginUsd), Number(costedIncomeUsd))}</span>
                </>
              );
            },
            isNumber: true,
          },
        ]}
      />
    </Card>
  );
}

/** The page with the calls to a model in the selected period. */
function usageOf(model: string, days: string[], search: Record<string, string | undefined>): string {
  const query = new URLSearchParams(search as Record<string, string>);
  query.set('operation', model);
  // The usage page has no button for one day.
  if (query.get('days') === 'yesterday') {
    const [yesterday = ''] = days;
    query.set('days', 'custom');
    query.set('from', yesterday);
    query.set('to', yesterday);
  }
  return `${pathTo('usage')}?${query.toString()}`;
}
