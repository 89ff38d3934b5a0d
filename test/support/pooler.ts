import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { embeddedUrls, type ServerLogin } from '../../src/postgres-server/open-database.js';

export interface Pooler {
  port: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** PgBouncer in transaction mode before all databases of a server. @param port left out: a free one */
export async function startPooler(
  program: string,
  server: ServerLogin,
  parent: string,
  port?: number,
): Promise<Pooler> {
  port ??= await freePort();
  const directory = join(parent, 'pooler');
  const { username, password } = new URL(embeddedUrls(server, 'postgres').url);
  await mkdir(directory, { recursive: true });
  // It does not run as root, and reads these as another user.
  for (const readable of [parent, directory]) await chmod(readable, 0o755);
  await writeFile(join(directory, 'users.txt'), `"${username}" "${password}"\n`);
  await writeFile(
    join(directory, 'pgbouncer.ini'),
    `[databases]
* = host=${server.host} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${join(directory, 'users.txt')}
pool_mode = transaction
default_pool_size = 10
max_client_conn = 1000
server_idle_timeout = 5
`,
  );
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(program, ['-q', ...asNobody, join(directory, 'pgbouncer.ini')], { stdio: 'ignore' });
  for (let tries = 0; !(await answers(port, username, password)); tries++) {
    if (tries === 50 || child.exitCode !== null) throw new Error(`${program} does not answer`);
    await pause(100);
  }
  return {
    port,
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, 'exit');
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function answers(port: number, user: string, password: string): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user, password, database: 'postgres' });
  client.on('error', () => undefined);
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  );
}
