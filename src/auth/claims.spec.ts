import { describe, expect, it } from 'vitest';
import { accountOf, claimAt } from './claims.js';

const CLAIMS = {
  role: 'admin',
  realm_access: { roles: ['offline_access', 'supervisor'] },
  resource_access: { 'accounting.console': { roles: ['admin'] }, account: { roles: ['view-profile'] } },
  'https://accounting.example.com/roles': ['supervisor'],
  a: { b: 1 },
  'a.b': 2,
};

describe('a claim', () => {
  it.each<[string, unknown]>([
    ['role', 'admin'],
    ['realm_access.roles', ['offline_access', 'supervisor']],
    ['resource_access.accounting.console.roles', ['admin']],
    ['https://accounting.example.com/roles', ['supervisor']],
    ['a.b', 2],
    ['realm_access.none', undefined],
    ['role.length', undefined],
    ['toString', undefined],
    ['__proto__.toString', undefined],
    ['realm_access.roles.constructor', undefined],
    ['', undefined],
  ])('%s is found by its whole name, then by its path, and never beyond the token’s own', (path, value) => {
    expect(claimAt(CLAIMS, path)).toEqual(value);
  });
});

describe('the role', () => {
  const roleIn = (roles: unknown) =>
    accountOf(
      { sub: 'a', exp: 1, roles } as never,
      {
        claims: { username: 'n', email: 'e', role: 'roles' },
      } as never,
    ).role;

  it.each<[unknown, string]>([
    [['user', 'admin', 'supervisor'], 'admin'],
    [['supervisor', 'user'], 'supervisor'],
    ['supervisor', 'supervisor'],
    [['Admin', 'ADMIN', 'administrator', 'admin '], 'user'],
    [[['admin']], 'user'],
    ['user admin', 'user'],
    [{ admin: true }, 'user'],
    [[], 'user'],
    [null, 'user'],
    [undefined, 'user'],
  ])('of %j is %s', (roles, role) => {
    expect(roleIn(roles)).toBe(role);
  });
});
