import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { SCENARIOS } from './scenarios.js';

const USAGE = `Measures the service against a floor that does the same work and nothing else.

  npm run bench -- [options]

  --quick               one level of concurrency and short rounds: under two minutes
  --scenario a,b        of ${SCENARIOS.map(({ name }) => name).join(', ')}
  --clients 1,50        connections, each with one request under way (default 1,10,50,200)
  --accounts MODE       separate (1,000 users), shared (one) or both (default)
  --rounds N            of each measurement; service and floor take turns (default 3)
  --seconds N           of a round (default 3)
  --env NAME=VALUE      a variable for the service; may be repeated
  --compare NAME=VALUE  one more instance of the service, with this variable too (several: "A=1 B=2"); may be repeated
  --pool N              database connections of each server (default 20)
  --dist DIRECTORY      the built service (default dist)
  --write               writes results.md and results.svg also when only a part was measured
  --strict              ends with 1 when the service misses its goal
`;
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const MODES = ['separate', 'shared'];

/** Heat: each server is driven for rounds of that length before a scenario is measured. */
const WHOLE = { clients: '1,10,50,200', rounds: '3', seconds: '3', warmUpSeconds: 0.5, heatSeconds: 4 };
const QUICK = { clients: '50', rounds: '3', seconds: '0.4', warmUpSeconds: 0.1, heatSeconds: 0.3 };

/** @typedef {ReturnType<typeof readOptions>} Options */

/** What to measure, by the command line; ends the process for --help and for what it does not understand. */
export function readOptions() {
  try {
    return parse();
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return process.exit(2);
  }
}

function parse() {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  const { values } = parseArgs({
    options: {
      quick: flag,
      scenario: text,
      clients: text,
      accounts: { ...text, default: 'both' },
      rounds: text,
      seconds: text,
      env: { ...text, multiple: true, default: [] },
      compare: { ...text, multiple: true, default: [] },
      pool: { ...text, default: '20' },
      dist: { ...text, default: DIST },
      write: flag,
      strict: flag,
      help: { ...flag, short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  const defaults = values.quick ? QUICK : WHOLE;
  const isWhole = !values.quick && values.scenario === undefined && values.clients === undefined;
  return {
    isQuick: values.quick,
    scenarios: chosen(values.scenario),
    clients: (values.clients ?? defaults.clients).split(',').map((each) => positive('--clients', each, true)),
    modes: modes(values.accounts),
    rounds: positive('--rounds', values.rounds ?? defaults.rounds, true),
    seconds: positive('--seconds', values.seconds ?? defaults.seconds),
    warmUpSeconds: defaults.warmUpSeconds,
    heatSeconds: defaults.heatSeconds,
    env: variables(values.env),
    compare: values.compare.map((each) => ({ label: each, env: variables(each.split(/\s+/)) })),
    poolSize: positive('--pool', values.pool, true),
    dist: values.dist,
    isWritten: values.write || (isWhole && values.accounts === 'both' && values.compare.length === 0),
    isStrict: values.strict,
  };
}

function chosen(names) {
  if (names === undefined) return SCENARIOS;
  return names.split(',').map((name) => {
    const found = SCENARIOS.find((scenario) => scenario.name === name);
    if (found === undefined) throw new Error(`--scenario: there is no ${name}`);
    return found;
  });
}

function modes(value) {
  if (value === 'both') return MODES;
  if (!MODES.includes(value)) throw new Error('--accounts must be separate, shared or both');
  return [value];
}

function positive(name, value, isWhole = false) {
  const number = Number(value);
  if (!(number > 0) || (isWhole && !Number.isInteger(number))) {
    throw new Error(`${name} must be a ${isWhole ? 'whole ' : ''}number above 0, not ${value}`);
  }
  return number;
}

function variables(pairs) {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new Error(`"${pair}" must be NAME=VALUE`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
