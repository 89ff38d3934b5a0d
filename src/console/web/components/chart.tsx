import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
} from 'chart.js';
import { useEffect, useRef, useState } from 'preact/hooks';
import { compact, credits } from '../format';
import { theme } from '../theme';
import { Empty, Segmented } from './ui';

Chart.register(
  BarController,
  BarElement,
  CategoryScale,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
);

export interface Series {
  label: string;
  values: (number | null)[];
  /** Name of a colour of the design, such as `chart-1`. */
  color: string;
  type?: 'bar' | 'line';
  /** An explanation of its name. */
  hint?: string;
}

interface ChartProps {
  title: string;
  labels: string[];
  series: Series[];
  format?: (value: number) => string;
  /** Shorter, at the axis. */
  axisFormat?: (value: number) => string;
  /** The least maximum of the axis: below it, rounded numbers on the axis would repeat. */
  leastHeight?: number;
  /** One bar for each day, made of the series. */
  isStacked?: boolean;
}

/** A canvas cannot use the page's CSS variables: the browser resolves the colour on an element. */
function colorOf(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Whole credits: five steps of one. */
const LEAST_CREDITS = 5;
type View = 'chart' | 'table';
/** How each chart was last shown: it stays so when the period changes and the chart is made again. */
const chosen = new Map<string, View>();

/** Bars and lines over days; the same numbers as a table can be read aloud and copied. */
export function TimeChart({
  title,
  labels,
  series,
  format = credits,
  axisFormat = compact,
  leastHeight = LEAST_CREDITS,
  isStacked = false,
}: ChartProps) {
  const [view, setView] = useState(chosen.get(title) ?? 'chart');
  const choose = (next: View) => {
    chosen.set(title, next);
    setView(next);
  };
  if (series.every(({ values }) => values.every((value) => !value)))
    return <Empty icon="usage" title="No usage in this period" />;
  const parts = { title, labels, series, format, axisFormat, leastHeight, isStacked };
  return (
    <figure class="chart">
      <div class="chart-tools">
        <ul class="legend" aria-hidden={view === 'table'}>
          {series.map(({ label, color, values, hint }) => (
            <li key={label} title={hint ?? label}>
              <i class={`swatch ${color}`} aria-hidden="true" />
              <span class="clip">{label}</span>
              {isStacked && <span class="number">{format(sumOf(values))}</span>}
            </li>
          ))}
        </ul>
        <Segmented
          label={`${title}: show as`}
          value={view}
          options={[
            ['chart', 'Chart'],
            ['table', 'Table'],
          ]}
          onChange={choose}
        />
      </div>
      {view === 'chart' ? <Canvas {...parts} /> : <ChartTable {...parts} />}
    </figure>
  );
}

const sumOf = (values: (number | null)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);

function Canvas(props: Required<ChartProps>) {
  const { title, labels, series, format } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const chart = useRef<Chart | null>(null);
  const appearance = theme.value;
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const drawn = new Chart(element, configuration(props));
    chart.current = drawn;
    return () => drawn.destroy();
  }, [appearance, JSON.stringify([labels, series])]);
  const total = series.map(({ label, values }) => `${label} ${format(sumOf(values))}`);
  return (
    <div class="canvas">
      <canvas
        ref={canvas}
        role="img"
        aria-label={`${title}. Total: ${total.join(', ')}. The table has the value of each day.`}
      />
    </div>
  );
}

function configuration({
  labels,
  series,
  format,
  axisFormat,
  leastHeight,
  isStacked,
}: Required<ChartProps>): ChartConfiguration {
  const muted = colorOf('ink-muted');
  const line = colorOf('line');
  const font = { family: getComputedStyle(document.body).fontFamily, size: 11 };
  return {
    type: 'bar',
    data: {
      labels,
      datasets: series.map(({ label, values, color, type = 'bar' }) => ({
        type,
        label,
        data: values,
        backgroundColor: colorOf(color),
        // A seam between the parts of a bar, so that they differ by more than their colours.
        borderColor: colorOf(isStacked ? 'surface' : color),
        borderWidth: type === 'line' ? 2 : isStacked ? 1 : 0,
        borderRadius: isStacked ? 0 : 3,
        maxBarThickness: 28,
        pointRadius: labels.length > 31 ? 0 : 2,
        pointHitRadius: 12,
        order: type === 'line' ? 0 : 1,
      })),
    },
    options: {
      responsive: true,
      maintainAspectRatio: false,
      animation: false,
      // Space between the last bar and the edge.
      layout: { padding: { right: 8 } },
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: {
          stacked: isStacked,
          grid: { display: false },
          border: { color: line },
          ticks: { color: muted, font, maxRotation: 0, autoSkipPadding: 16 },
        },
        y: {
          stacked: isStacked,
          beginAtZero: true,
          suggestedMax: leastHeight,
          border: { display: false },
          grid: { color: line },
          ticks: { color: muted, font, maxTicksLimit: 6, callback: (value) => axisFormat(Number(value)) },
        },
      },
      plugins: {
        legend: { display: false },
        tooltip: {
          backgroundColor: colorOf('surface-raised'),
          titleColor: colorOf('ink'),
          bodyColor: colorOf('ink'),
          borderColor: line,
          borderWidth: 1,
          padding: 10,
          usePointStyle: true,
          boxPadding: 4,
          // In the order of the stack, whose largest part is at the bottom; parts of 0 are left out.
          itemSort: (a, b) => (isStacked ? b.datasetIndex - a.datasetIndex : a.datasetIndex - b.datasetIndex),
          filter: ({ parsed }) => !isStacked || parsed.y !== 0,
          callbacks: {
            label: ({ dataset, parsed }) => `${dataset.label ?? ''}  ${format(parsed.y ?? 0)}`,
            footer: (parts) =>
              isStacked
                ? `Total  ${format(parts.reduce((sum, { parsed }) => sum + (parsed.y ?? 0), 0))}`
                : '',
          },
          footerColor: colorOf('ink'),
        },
      },
    },
  };
}

function ChartTable({ title, labels, series, format, isStacked }: Required<ChartProps>) {
  return (
    <div class="table-frame canvas" tabIndex={0} role="region" aria-label={title}>
      <table>
        <caption class="unseen">{title}</caption>
        <thead>
          <tr>
            <th scope="col">Day</th>
            {isStacked && (
              <th scope="col" class="numeric">
                Total
              </th>
            )}
            {series.map(({ label }) => (
              <th key={label} scope="col" class="numeric">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {labels.map((label, index) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              {isStacked && (
                <td class="numeric">{format(sumOf(series.map(({ values }) => values[index] ?? 0)))}</td>
              )}
              {series.map(({ label: name, values }) => {
                const value = values[index];
                return (
                  <td key={name} class="numeric">
                    {value === null || value === undefined ? '–' : format(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
