import { expect, it } from 'vitest';
import { describeConnection } from './open-database.js';

it.each([
  ['postgres://app:p%40ss%3Aword@db.example.com:6543/acc?sslmode=require', 'db.example.com:6543/acc'],
  ['postgresql://app:word@[::1]/acc', '[::1]:5432/acc'],
  ['POSTGRESQL://db/acc', 'db:5432/acc'],
  ['postgres://app:word@a:6543,b/acc?target_session_attrs=read-write', 'a:6543,b:5432/acc'],
  ['postgresql:///acc?host=/run/postgresql&user=app&password=word', '/run/postgresql:5432/acc'],
])('shows the database address %s without its login', (url, shown) => {
  expect(describeConnection(url)).toBe(`PostgreSQL at ${shown}`);
});
