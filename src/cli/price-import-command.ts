import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { boundedFetch } from '../common/http/bounded-fetch.js';
import { commandToken, loadConfig } from '../config/env.js';
import { developmentToken } from '../auth/development-token.js';
import { commandLine } from './command-line.js';

export const USAGE = `Imports LiteLLM's model_prices_and_context_window.json into the running service.

  ${commandLine('import', 'pricing:import')} FILE [options]

  --url URL              where the service is (default http://localhost:3001)
  --token TOKEN          an admin's access token; ACCOUNTING_TOKEN keeps it out of the process list.
                         Without either, one is made for development, with the service's own secret
  --markup 1.2           the users' price over the provider's (default 1)
  --credits-per-usd N    credits for one USD (default: the service's CREDITS_PER_USD)
  --models PATTERNS      only these models, for example 'gpt-4o*,claude-?-opus*'
  --include-free         prices of 0 too; without it they are skipped
  --dry-run              says what would be done and does nothing
`;

const OPTIONS = {
  url: { type: 'string', default: 'http://localhost:3001' },
  token: { type: 'string' },
  markup: { type: 'string' },
  'credits-per-usd': { type: 'string' },
  models: { type: 'string' },
  'include-free': { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** Longer than the service gives a request, so that it is the service that says what took too long. */
const TIMEOUT_MILLISECONDS = 120_000;

/** The answer has a line for each model that was skipped. */
const MAXIMUM_ANSWER_BYTES = 100_000_000;

/** Where a command writes: what it found out, and how far it is. */
export interface Output {
  result(text: string): void;
  progress(line: string): void;
}

interface ImportAnswer {
  created: number;
  closed: number;
  unchanged: number;
  skipped: { modelId: string; reason: string }[];
  notes: { modelId: string; note: string }[];
}

/**
 * Sends the file to the service and prints the outcome.
 *
 * @throws Error whose message says what to do
 */
export async function importPrices(args: string[], output: Output): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  if (values.help) return output.result(USAGE);
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) throw new Error(`Name one file.\n\n${USAGE}`);
  const body = await readPriceFile(file, output);
  const address = importAddress(values.url, {
    markup: values.markup,
    creditsPerUsd: values['credits-per-usd'],
    models: values.models,
    includeFree: values['include-free'] ? 'true' : undefined,
    dryRun: values['dry-run'] ? 'true' : undefined,
  });
  const token = values.token ?? commandToken() ?? ownToken();
  output.progress(`Sending it to ${address.origin} …`);
  const begin = performance.now();
  const answer = await send(address, token, body);
  output.progress(`Answered after ${((performance.now() - begin) / 1000).toFixed(1)} s.`);
  output.result(summary(answer, values['dry-run']));
}

async function readPriceFile(file: string, output: Output): Promise<Buffer> {
  const body = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      error.code === 'ENOENT' ? `There is no file ${file}.` : `Cannot read ${file}: ${error.message}`,
    );
  });
  let map: unknown;
  try {
    map = JSON.parse(body.toString('utf8').replace(/^\ufeff/, ''));
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`);
  }
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new Error(`${file} is not a price map: it must be a JSON object of models.`);
  }
  output.progress(`Read ${file}: ${Object.keys(map).length} entries, ${(body.length / 1e6).toFixed(1)} MB.`);
  return body;
}

function importAddress(url: string, query: Record<string, string | undefined>): URL {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Error(`--url must be an address such as http://localhost:3001, not "${url}".`);
  }
  const address = new URL(`${url.replace(/\/+$/, '')}/api/pricing/import`);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) address.searchParams.set(name, value);
  }
  return address;
}

/** An admin's token by the service's own secret, on a machine that has it. */
function ownToken(): string {
  try {
    return developmentToken(loadConfig(), { sub: 'pricing-import', role: 'admin' }, 1);
  } catch (error) {
    throw new Error(
      `Give an admin’s access token by --token or ACCOUNTING_TOKEN; none can be created here: ${(error as Error).message}`,
    );
  }
}

async function send(address: URL, token: string, body: Buffer): Promise<ImportAnswer> {
  const { status, text } = await boundedFetch(address, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body,
    deadlineMilliseconds: TIMEOUT_MILLISECONDS,
    maximumBytes: MAXIMUM_ANSWER_BYTES,
  }).catch(({ code, message }: NodeJS.ErrnoException) => {
    throw new Error(
      `The service does not answer at ${address.origin} (${code ?? message}). Is it running? Check --url.`,
    );
  });
  if (status === 200) return JSON.parse(text) as ImportAnswer;
  throw new Error(refusal(status, detailOf(text)));
}

function detailOf(text: string): string {
  try {
    return (JSON.parse(text) as { detail?: string }).detail ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200);
  }
}

function refusal(status: number, detail: string): string {
  const hints: Record<number, string> = {
    401: 'Check --token or ACCOUNTING_TOKEN: the service does not take this token.',
    403: 'Importing prices needs the token of an admin.',
    404: 'Is --url the accounting service?',
  };
  return `The service refused (${status}): ${detail}. ${hints[status] ?? 'Nothing was imported.'}`;
}

/** The counts, and how often each reason came: the names of thousands of models would hide them. */
function summary({ created, closed, unchanged, skipped, notes }: ImportAnswer, dryRun: boolean): string {
  const lines = [
    ...(dryRun ? ['Dry run: nothing was changed.'] : []),
    `created    ${created}${closed > 0 ? ` (${closed} of them a changed price)` : ''}`,
    `unchanged  ${unchanged}`,
    `skipped    ${skipped.length}`,
    ...countLines(skipped.map(({ reason }) => reason)),
    ...(notes.length > 0 ? [`notes      ${notes.length}`] : []),
    ...countLines(notes.map(({ note }) => note)),
  ];
  return `${lines.join('\n')}\n`;
}

function countLines(reasons: string[]): string[] {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => `  ${String(count).padStart(5)}  ${reason}`);
}
