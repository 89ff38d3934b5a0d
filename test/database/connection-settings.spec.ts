import { expect, inject, it } from 'vitest';
import { connectionPool } from '../../src/common/database/driver.js';

it('settings of a connection are those of the service, whatever else its URL asks for', async () => {
  const { user, password, host, port } = inject('server');
  const asked = new URLSearchParams({
    options: '-c timezone=Asia/Tokyo -c default_transaction_isolation=serializable -c lock_timeout=7s',
    statement_timeout: '1000',
    idle_in_transaction_session_timeout: '1000',
    application_name: 'as the operator calls it',
    sslmode: 'disable',
  });
  const pool = connectionPool({
    url: `postgresql://${user}:${password}@${host}:${port}/postgres?${asked.toString()}`,
    poolSize: 1,
    connectTimeoutMilliseconds: 5000,
    statementTimeoutMilliseconds: 60_000,
    lowThreshold: 100,
  });
  const names = [
    'timezone',
    'default_transaction_isolation',
    'statement_timeout',
    'idle_in_transaction_session_timeout',
    'accounting.low_threshold',
    'lock_timeout',
    'application_name',
  ];
  const text = `SELECT ${names.map((name, index) => `current_setting('${name}') AS "${index}"`).join(', ')}`;
  const [settings] = await pool.run<Record<string, string>>({ text });
  expect(Object.values(settings ?? {})).toEqual([
    'UTC',
    'read committed',
    '1min',
    '1min',
    '100',
    '7s',
    'as the operator calls it',
  ]);
  await pool.end();
});
