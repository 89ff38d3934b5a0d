import { median } from './measurement.js';

/** Of one turn. */
const SECONDS = 0.5;
const HEAT = { mode: 'separate', clients: 20, seconds: 4 };

/**
 * Compares two sides by turns of half a second, which follow one another: so a machine that becomes slower meanwhile changes
 * the ratio little. Writes a line for each scenario, mode and number of clients.
 *
 * @template Side
 * @param {{ scenarios: string[], modes: string[], clients: number[], turns: number }} options
 * @param {[Side, Side]} sides
 * @param {(side: Side, scenario: string, cell: { mode: string, clients: number, seconds: number }) =>
 *   Promise<{ rate: number, processor: number }>} turn
 * @param {string} titles of the two sides
 */
export async function comparePairs(options, sides, turn, titles) {
  process.stdout.write(`${'scenario'.padEnd(34)} requests/s   µs  ${titles}\n`);
  for (const scenario of options.scenarios) {
    for (const side of sides) await turn(side, scenario, HEAT);
    for (const mode of options.modes) {
      for (const clients of options.clients) {
        const pairs = [];
        for (let index = 0; index < options.turns; index++) {
          // Each takes its turn to be first.
          const pair = [];
          for (const place of index % 2 === 0 ? [0, 1] : [1, 0]) {
            pair[place] = await turn(sides[place], scenario, { mode, clients, seconds: SECONDS });
          }
          pairs.push(pair);
        }
        process.stdout.write(`${lineOf(`${scenario}, ${mode}, ${clients}`, pairs)}\n`);
      }
    }
  }
}

function lineOf(title, pairs) {
  const ratio = (what) => median(pairs.map(([one, other]) => one[what] / other[what])).toFixed(2);
  const figures = [0, 1].map((side) => {
    const of = (what) => Math.round(median(pairs.map((pair) => pair[side][what]))).toLocaleString('en');
    return `${of('rate')}/s ${of('processor')} µs`;
  });
  return `${title.padEnd(34)} ${ratio('rate').padStart(10)} ${ratio('processor').padStart(4)}  ${figures.join(', ')}`;
}
