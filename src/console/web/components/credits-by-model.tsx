import { meaningOf } from '../figures';
import { day } from '../format';
import { type Series, TimeChart } from './chart';
import { Empty } from './ui';

const MOST_MODELS = 7;
/** Whether a map's entry is everything that the API does not list by name; in a map that is whole the name is a model's. */
export const isRest = (name: string, isTruncated: boolean) => isTruncated && name === 'other';

type Names = Record<string, number>;

interface CreditsByModelProps {
  byDay: Names;
  byDayAndModel: Record<string, Names>;
  truncated: string[];
  /** Every day of the period, those without usage included. */
  days: string[];
}

/** Credits of each day, stacked by model; the rest comes on top, so that each bar is the whole day. */
export function CreditsByModel(props: CreditsByModelProps) {
  const series = seriesOf(props);
  if (series.length === 0) return <Empty icon="usage" title="No usage in this period" />;
  return (
    <TimeChart title="Credits by day and model" labels={props.days.map(day)} series={series} isStacked />
  );
}

function seriesOf({ byDay, byDayAndModel, truncated, days }: CreditsByModelProps): Series[] {
  const totals = new Map<string, number>();
  for (const models of Object.values(byDayAndModel))
    for (const [model, credits] of Object.entries(models))
      totals.set(model, (totals.get(model) ?? 0) + credits);
  const largest = [...totals]
    .filter(([model]) => !isRest(model, truncated.includes('byDayAndModel')))
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST_MODELS)
    .map(([model]) => model);
  const creditsOf = (name: string, model: string) =>
    new Map(Object.entries(byDayAndModel[name] ?? {})).get(model) ?? 0;
  const chatOf = (name: string) =>
    Object.values(byDayAndModel[name] ?? {}).reduce((sum, credits) => sum + credits, 0);
  const named = (name: string) => largest.reduce((sum, model) => sum + creditsOf(name, model), 0);
  const rest: Series[] = [
    { label: 'Other models', color: 'chart-rest', values: days.map((name) => chatOf(name) - named(name)) },
    {
      label: 'Other services',
      color: 'chart-else',
      hint: meaningOf('Other services'),
      values: days.map((name) => (byDay[name] ?? 0) - chatOf(name)),
    },
  ];
  return [
    ...largest.map((model, index) => ({
      label: model,
      color: `chart-${index + 1}`,
      values: days.map((name) => creditsOf(name, model)),
    })),
    ...rest,
  ].filter(({ values }) => values.some((value) => value !== 0));
}
