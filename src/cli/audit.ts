import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { Database } from '../common/database/database.js';
import { connectionPool } from '../common/database/driver.js';
import { ReportTurns } from '../common/http/reports.js';
import { type DatabaseConfig, loadConfig } from '../config/env.js';
import { CreditsAuditService } from '../credits/credits-audit.service.js';
import type { AuditDto } from '../credits/dto/credits.responses.js';
import { REPAIR } from '../credits/credits.operations.js';
import { describeConnection, reachDatabase } from '../postgres-server/open-database.js';
import { commandLine } from './command-line.js';

const USAGE = `Checks that balances, lots, ledger, holds, usage and key limits of every user agree.

  ${commandLine('audit')} [--user alice] [--repair] [--json]

--repair sets the cache of each user at fault to what lots and sessions say, and writes that into the ledger.
Ends with 0 when nothing is wrong (or everything is repaired), with 1 when something is, and with 2 when it could not
check, as for an unknown user or a database without accounts.
`;
const ACTOR = 'service:audit';
/** The most that the check of a batch of users may take, in milliseconds. */
const AN_HOUR = 3_600_000;

interface Options {
  user: string | null;
  repair: boolean;
  json: boolean;
}

async function run({ user, repair, json }: Options): Promise<boolean> {
  const loaded = loadConfig();
  const opened = await reachDatabase(loaded.database);
  // Past a pooler, if there is one.
  const url = loaded.database.directUrl ?? opened.url;
  const config = { ...loaded, database: { ...loaded.database, url, directUrl: undefined } };
  const pool = connectionPool({ ...config.database, poolSize: 2 });
  const patient = { ...config, reports: { poolSize: 1, timeoutMilliseconds: AN_HOUR } };
  const database = new Database(pool, patient);
  try {
    const audit = new CreditsAuditService(database, new ReportTurns(patient));
    let found = await audit.audit(user, { onProgress: showProgress });
    if (repair && !found.ok) {
      for (const userId of new Set(found.differences.map((difference) => difference.userId))) {
        const answer = await database.call(REPAIR, { accountId: userId, actor: ACTOR });
        process.stderr.write(`repaired ${userId}: ${JSON.stringify(answer)}\n`);
      }
      found = await audit.audit(user);
    }
    if (found.usersChecked === 0)
      throw new Error(`There are no accounts in ${described(loaded.database)}: nothing was checked`);
    process.stdout.write(json ? `${JSON.stringify(found, null, 2)}\n` : report(found));
    return found.ok;
  } finally {
    await database.close();
    await pool.end();
    await opened.close();
  }
}

/** Which database it is: an audit of another one than was meant would find nothing wrong. */
const described = ({ url, embeddedDirectory }: DatabaseConfig) =>
  url === undefined ? embeddedDirectory : describeConnection(url);

function showProgress(usersChecked: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${counted(usersChecked, 'user')} checked`);
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;

function report({ usersChecked, differencesFound, differences }: AuditDto): string {
  const lines = differences.map(({ userId, check, explanation, expected, actual, ...subject }) => {
    const about = Object.entries(subject).flatMap(([name, value]) =>
      value === null ? [] : [`${name} ${value}`],
    );
    const where = about.length > 0 ? ` (${about.join(', ')})` : '';
    return `${userId}: ${check}${where}: expected ${expected}, found ${actual}. ${explanation}`;
  });
  return `${[...lines, `${counted(usersChecked, 'user')} checked, ${counted(differencesFound, 'difference')}`].join('\n')}\n`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      user: { type: 'string' },
      repair: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return void process.stdout.write(USAGE);
  process.exitCode = (await run({ ...values, user: values.user ?? null })) ? 0 : 1;
}

main().catch((error: Error) => {
  process.stderr.write(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
});
