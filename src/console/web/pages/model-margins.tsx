import type { SystemStats } from '../api/client';
import { isRest } from '../components/credits-by-model';
import { Table } from '../components/table';
import { Badge, Card, Credits, Empty } from '../components/ui';
import { percent, plural, usd, whole } from '../format';
import { pathTo, useSearch } from '../navigation';

/** Usage value and cost of each model, with links to its prices and to its calls. */
export function ModelMargins({ stats, days }: { stats: SystemStats; days: string[] }) {
  const { search } = useSearch();
  const isTruncated = stats.truncated.includes('marginByModel');
  const models = Object.entries(stats.marginByModel).sort(([, a], [, b]) => b.credits - a.credits);
  const most = models[0]?.[1].credits ?? 1;
  return (
    <Card
      title="By model"
      class="two-thirds"
      hint="What calls cost at users’ prices compared with provider cost"
    >
      <Table
        caption="Usage by model"
        rows={models}
        keyOf={([name]) => name}
        empty={
          <Empty icon="usage" title="No usage in this period">
            Choose a longer period, or wait for the first call.
          </Empty>
        }
        columns={[
          {
            header: 'Model',
            cell: ([name]) =>
              isRest(name, isTruncated) ? (
                'Other models'
              ) : (
                <a class="clip" href={pathTo('prices', name)} title={name}>
                  {name}
                </a>
              ),
          },
          {
            header: 'Credits',
            cell: ([name, { credits }]) => (
              <span class="meter-cell">
                <Credits value={credits} />
                <meter min={0} max={most} value={credits} aria-label={`Credits used by ${name}`} />
              </span>
            ),
            isNumber: true,
          },
          {
            header: 'Calls',
            cell: ([name, { records }]) =>
              isRest(name, isTruncated) ? (
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
            header: 'Usage value',
            cell: ([, { creditsUsd }]) => usd(creditsUsd),
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Cost',
            cell: ([, { providerCostUsd }]) => (providerCostUsd === null ? '–' : usd(providerCostUsd)),
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Margin',
            cell: ([, { marginUsd, creditsUsd, records, costedRecords }]) => {
              if (marginUsd === null) return <Badge>unknown</Badge>;
              const isWhole = records === costedRecords;
              return (
                <span
                  title={isWhole ? '' : `Cost known for ${whole(costedRecords)} of ${whole(records)} calls`}
                >
                  <Badge tone={Number(marginUsd) < 0 ? 'bad' : 'good'}>
                    {isWhole ? percent(Number(marginUsd), Number(creditsUsd)) : usd(marginUsd)}
                  </Badge>
                </span>
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
