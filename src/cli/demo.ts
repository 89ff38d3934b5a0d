import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { portOf } from '../config/env.js';
import { openInBrowser } from '../demo/browser.js';
import { type DemoOptions, startDemo, welcome } from '../demo/demo.js';
import { MOST_PEOPLE } from '../demo/people.js';
import { commandLine } from './command-line.js';

const USAGE = `Shows the service with a month of use, on a database of its own that is removed afterwards.

  ${commandLine('demo')} [--users 400] [--port 3001] [--seed 1] [--no-open]

--users   10 to ${MOST_PEOPLE} (default 400)
--port    0 takes a free one (default: PORT, or 3001)
--seed    another number, other people
--no-open leaves the browser alone
`;

function readOptions(): (DemoOptions & { opens: boolean }) | undefined {
  const { values } = parseArgs({
    options: {
      users: { type: 'string', default: '400' },
      port: { type: 'string', default: portOf() },
      seed: { type: 'string', default: '1' },
      'no-open': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    users: wholeNumber('--users', values.users, 10, MOST_PEOPLE),
    port: wholeNumber('--port', values.port, 0, 65_535),
    seed: wholeNumber('--seed', values.seed, 1, 1_000_000_000),
    opens: !values['no-open'] && process.stdout.isTTY,
  };
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw new Error(`${name} must be a whole number from ${least} to ${most}, not "${text}"`);
}

async function run(options: DemoOptions & { opens: boolean }): Promise<void> {
  const asked = new AbortController();
  const whenAsked = new Promise<void>((stop) => asked.signal.addEventListener('abort', () => stop()));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => asked.abort());
  // The reader of this output has gone.
  process.stdout.on('error', () => asked.abort());
  const demo = await startDemo(options, (line) => process.stdout.write(`${line}\n`), asked.signal).catch(
    (error) => {
      if (asked.signal.aborted) return undefined;
      throw error;
    },
  );
  if (demo === undefined) return;
  try {
    const page = await firstPage(demo.url);
    process.stdout.write(welcome(demo, page));
    if (options.opens) openInBrowser(page);
    await whenAsked;
    process.stdout.write('\nRemoving it …\n');
  } finally {
    await demo.stop();
  }
}

/** The console, or, in a build without it, Swagger UI. */
async function firstPage(url: string): Promise<string> {
  const { ok } = await fetch(`${url}/console`, { headers: { accept: 'text/html' } });
  return ok ? `${url}/console` : `${url}/api/docs`;
}

function explain(error: NodeJS.ErrnoException & { port?: number }): string {
  return error.code === 'EADDRINUSE'
    ? `Port ${error.port} is in use. Stop the program that uses it, or name another: ${commandLine('demo')} --port 0`
    : error.message;
}

try {
  const options = readOptions();
  if (options === undefined) process.stdout.write(USAGE);
  else await run(options);
  process.exit(0);
} catch (error) {
  process.stderr.write(`${explain(error as Error)}\n`);
  process.exit(1);
}
