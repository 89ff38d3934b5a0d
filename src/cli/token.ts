import { parseArgs } from 'node:util';
import { ROLES, type Role } from '../common/http/caller.js';
import { loadConfig } from '../config/env.js';
import { developmentToken } from '../auth/development-token.js';
import { commandLine } from './command-line.js';

const USAGE = `Prints an access token for development; in production it refuses to.

  ${commandLine('token')} --sub alice [--role user|supervisor|admin] [--email E] [--username N] [--hours 24]
`;

function main(): void {
  const { values } = parseArgs({
    options: {
      sub: { type: 'string' },
      role: { type: 'string', default: 'user' },
      email: { type: 'string' },
      username: { type: 'string' },
      hours: { type: 'string', default: '24' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const hours = Number(values.hours);
  if (values.help) return void process.stdout.write(USAGE);
  if (values.sub === undefined) throw new Error('--sub is required');
  if (!ROLES.includes(values.role as Role)) throw new Error(`--role must be one of ${ROLES.join(', ')}`);
  if (!(hours > 0 && hours <= 8760)) throw new Error('--hours must be between 0 and 8760');
  const { sub, username, email } = values;
  const claims = { sub, role: values.role as Role, username, email };
  process.stdout.write(`${developmentToken(loadConfig(), claims, hours)}\n`);
}

try {
  main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = 1;
}
