import type { SystemStats } from '../api/client';
import { OTHER } from '../components/credits-by-model';
import { Table } from '../components/table';
import { Badge, Card, Credits, Empty } from '../components/ui';
import { percent, plural, usd, whole } from '../format';
import { Link, pathTo, search } from '../router';

/** What each model brought in and cost, with the ways to its prices and to its calls. */
export function ModelMargins({ stats, days }: { stats: SystemStats; days: string[] }) {
  const models = Object.entries(stats.marginByModel).sort(([, a], [, b]) => b.credits - a.credits);
  const most = models[0]?.[1].credits ?? 1;
  return (
    <Card title="By model" class="two-thirds" hint="Income against what the provider charged">
      <Table
        caption="Usage by model"
        rows={models}
        keyOf={([name]) => name}
        empty={
          <Empty icon="usage" title="No usage in this range">
            Choose a longer range, or wait for the first call.
          </Empty>
        }
        columns={[
          {
            header: 'Model',
            cell: ([name]) =>
              name === OTHER ? (
                'Other models'
              ) : (
                <Link class="clip" to={pathTo('prices', name)} title={name}>
                  {name}
                </Link>
              ),
          },
          {
            header: 'Credits',
            cell: ([name, { credits }]) => (
              <span class="meter-cell">
                <Credits value={credits} />
                <meter min={0} max={most} value={credits} aria-label={`Credits of ${name}`} />
              </span>
            ),
            isNumber: true,
          },
          {
            header: 'Calls',
            cell: ([name, { records }]) =>
              name === OTHER ? (
                whole(records)
              ) : (
                <Link to={usageOf(name, days)} aria-label={`${plural(records, 'call')} of ${name}`}>
                  {whole(records)}
                </Link>
              ),
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Income',
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
                <span title={isWhole ? '' : `Known for ${whole(costedRecords)} of ${whole(records)} calls`}>
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

/** The calls of a model in the days that are looked at. */
function usageOf(model: string, days: string[]): string {
  const query = new URLSearchParams(search.value);
  query.set('operation', model);
  // The page of usage has no button for one day.
  if (query.get('days') === 'yesterday') {
    const [yesterday = ''] = days;
    query.set('days', 'custom');
    query.set('from', yesterday);
    query.set('to', yesterday);
  }
  return `/usage?${query.toString()}`;
}
