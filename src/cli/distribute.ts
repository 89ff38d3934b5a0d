import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { distribute } from '../../migrations/distribution.js';
import { loadConfig } from '../config/env.js';
import { openDatabase } from '../postgres-server/open-database.js';
import { commandLine } from './command-line.js';

const USAGE = `Spreads the accounts of a database over the servers of its Citus cluster. The database may be new or in use; end
the service before. What was interrupted goes on when it is called again. Settings: DATABASE_URL, and MIGRATION_DATABASE_URL
for the schema's owner; both lead to the coordinator. More: docs/cluster.md

  ${commandLine('distribute')}
`;

async function run(): Promise<void> {
  const { values } = parseArgs({ options: { help: { type: 'boolean', short: 'h', default: false } } });
  if (values.help) return void process.stdout.write(USAGE);
  const { database: config } = loadConfig();
  if (config.url === undefined)
    throw new Error('DATABASE_URL (or DB_HOST) is required: a cluster has a coordinator');
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const opened = await openDatabase(config, undefined, say, (runner) => distribute(runner, say));
  await opened.close();
  process.stdout.write('The accounts are spread over the cluster.\n');
}

run().catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
