import { writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { format } from 'prettier';
import { chartOf } from './chart.js';
import { median } from './measurement.js';

const GIGABYTE = 2 ** 30;
/** What share of the floor the service is to reach: alone with its account, and where all want the same one. */
const GOALS = { separate: 0.8, shared: 1 };
const MODE_TITLES = { separate: '1,000 accounts', shared: 'One shared account' };
const RESULTS = new URL('results.md', import.meta.url);
const CHART = new URL('results.svg', import.meta.url);

/** @typedef {import('./measurement.js').Cell} Cell */

/** Cells that miss the goal. Requests that move nothing do not wait for each other, so for them one goal holds. */
export function goalsOf(cells) {
  const missed = cells.filter((cell) => ratioOf(cell, cell.figures[0]) < goalOf(cell));
  return { missed, met: cells.length - missed.length };
}

function goalOf({ scenario, mode }) {
  return scenario.isMovement ? GOALS[mode] : GOALS.separate;
}

function ratioOf({ figures }, { rate }) {
  return rate / figures[1].rate;
}

/** One cell for the terminal, as soon as it is known. */
export function lineOf(cell) {
  const { scenario, mode, clients, figures } = cell;
  const rates = figures.map(
    ({ label, rate, processor }) =>
      `${label} ${whole(rate)}/s${processor === undefined ? '' : ` ${whole(processor)} µs`}`,
  );
  const ratio = ratioOf(cell, figures[0]).toFixed(2);
  return `${`${scenario.title}, ${mode}, ${clients}`.padEnd(36)} ${ratio}  ${rates.join(' · ')}`;
}

/**
 * Prints the tables, and keeps them and the picture beside this file when the run was a whole one.
 *
 * @param {Cell[]} cells
 * @param {object} facts
 */
export async function writeReport(cells, facts) {
  const text = await format(markdown(cells, facts), { parser: 'markdown' });
  process.stdout.write(`\n${text}`);
  if (!facts.options.isWritten) return;
  await writeFile(RESULTS, text);
  await writeFile(CHART, chartOf(cells, MODE_TITLES));
}

function markdown(cells, { options, movements, users, version, seconds }) {
  const { met } = goalsOf(cells);
  const modes = options.modes.filter((mode) => cells.some((cell) => cell.mode === mode));
  const compared = options.compare.map(({ label }) => `\`${label}\``).join(', ');
  const env = Object.entries(options.env).map(([name, value]) => `\`${name}=${value}\``);
  return [
    '# The service against a floor',
    'The floor is `node:http` and `pg` with the same SQL functions as named prepared statements and the same token check, ' +
      'and nothing else. Service, floor, PostgreSQL with default durability and the load generator share one machine; ' +
      'service and floor take turns. Compare the two with each other, not the figures with those of another machine.',
    `- ${cpus().length} × ${cpus()[0].model.trim()}, ${whole(totalmem() / GIGABYTE)} GB, Node ${process.version}, PostgreSQL ${version}`,
    `- Medians of ${options.rounds} rounds of ${options.seconds} s, with the least and the most; ${options.poolSize} database connections each; ${duration(seconds)} in all`,
    ...(env.length > 0 ? [`- The service with ${env.join(', ')}`] : []),
    ...(compared === '' ? [] : [`- Compared with the service with ${compared}`]),
    '- `hold + settle` counts two requests for each session; µs is processor time of the server process for each request',
    `- The load generator used ${whole(median(cells.flatMap(({ figures }) => figures.map(({ generator }) => generator))))} µs of processor time for each request`,
    `- Afterwards the audit of ${number(users)} users was clean, and each of the ${number(movements)} movements that were answered was in the database`,
    `- Goal (${GOALS.separate} of the floor on accounts of their own and for reads, ${GOALS.shared} for movements of one account): met in ${met} of ${cells.length}, shown bold`,
    ...modes.map((mode) =>
      tableOf(
        cells.filter((cell) => cell.mode === mode),
        MODE_TITLES[mode],
      ),
    ),
  ]
    .map((part) => (part.startsWith('- ') ? part : `\n${part}\n`))
    .join('\n');
}

function tableOf(cells, title) {
  const header = ['', 'clients', '', 'requests/s', 'of the floor', 'p50 ms', 'p95 ms', 'p99 ms', 'µs'];
  const rows = cells.flatMap((cell) =>
    cell.figures.map((figures, index) => [
      index === 0 ? cell.scenario.title : '',
      index === 0 ? cell.clients : '',
      figures.label,
      `${number(figures.rate)} (${number(figures.spread[0])}–${number(figures.spread[1])})`,
      index === 1 ? '' : emphasised(ratioOf(cell, figures), goalOf(cell)),
      ...figures.latencies.map((milliseconds) => milliseconds.toFixed(milliseconds < 10 ? 2 : 1)),
      figures.processor === undefined ? '' : number(figures.processor),
    ]),
  );
  const alignment = header.map((_, index) => (index === 0 || index === 2 ? '---' : '---:'));
  const lines = [header, alignment, ...rows].map((columns) => `| ${columns.join(' | ')} |`);
  return `## ${title}\n\n${lines.join('\n')}`;
}

function emphasised(ratio, goal) {
  return ratio >= goal ? `**${ratio.toFixed(2)}**` : ratio.toFixed(2);
}

function whole(value) {
  return String(Math.round(value));
}

function number(value) {
  return Math.round(value).toLocaleString('en-US');
}

function duration(seconds) {
  return seconds < 90 ? `${whole(seconds)} s` : `${whole(seconds / 60)} min`;
}
