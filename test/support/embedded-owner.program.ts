import { startEmbeddedPostgres } from '../../src/postgres-server/embedded-postgres.js';

/** A process that owns an embedded server until it is asked to end, or left alone; a message kills it. */
const directory = process.argv[2] as string;
try {
  const server = await startEmbeddedPostgres({ dataDir: directory, settings: { fsync: 'off' } });
  const { port, password, pid } = server;
  process.send?.({ server: { port, password, pid } });
  process.once('disconnect', () => void server.stop());
  process.once('message', () => process.kill(process.pid, 'SIGKILL'));
} catch (error) {
  process.send?.({ refused: (error as Error).message });
  process.disconnect();
}
