import { parseArgs } from 'node:util';
import jwt from 'jsonwebtoken';
import { ROLES, type Role } from '../auth/caller.js';
import { loadConfig } from '../config/env.js';

const USAGE = `Prints an access token for development.

  npm run -s token -- --sub alice [--role user|supervisor|admin] [--email E] [--username N] [--hours 24]
`;

/** Signs what the authentication service would sign, with the secret that the service verifies with. */
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
  const { accessSecret } = loadConfig().jwt;
  if (accessSecret === undefined) throw new Error('only tokens by JWT_ACCESS_SECRET can be made here');
  const claims = {
    username: values.username ?? values.sub,
    email: values.email ?? `${values.sub}@example.com`,
    role: values.role,
    type: 'access',
  };
  const options = { subject: values.sub, expiresIn: Math.round(hours * 3600), algorithm: 'HS256' } as const;
  process.stdout.write(`${jwt.sign(claims, accessSecret, options)}\n`);
}

try {
  main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = 1;
}
