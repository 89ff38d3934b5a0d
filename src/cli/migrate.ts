import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config/env.js';
import { openDatabase } from '../postgres-server/open-database.js';
import { commandLine } from './command-line.js';

const USAGE = `Brings the database to this release's schema, and ends. The service does the same when it starts; run this
before, where the service's own role may not change the schema. Settings: DATABASE_URL, and MIGRATION_DATABASE_URL for
the schema's owner.

  ${commandLine('migrate')}
`;

async function run(): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h', default: false } } });
  if (values.help) return void process.stdout.write(USAGE);
  const warn = (line: string) => void process.stderr.write(`${line}\n`);
  const database = await openDatabase(loadConfig().database, undefined, warn);
  await database.close();
  process.stdout.write('The database has the schema of this release.\n');
}

run().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
