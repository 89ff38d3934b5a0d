import { describe, expect, it } from 'vitest';
import { DatabaseServers, serverList, serverListProblem } from './database-servers.js';

const LOGIN = 'postgresql://app:p%40ss,word';

describe('a connection string', () => {
  it.each([
    ['one host', `${LOGIN}@a:5432/d`, [`${LOGIN}@a:5432/d`]],
    ['hosts and ports', `${LOGIN}@a:5432,b:5433/d?x=1`, [`${LOGIN}@a:5432/d?x=1`, `${LOGIN}@b:5433/d?x=1`]],
    ['hosts without ports', 'postgres://a,b/d', ['postgres://a/d', 'postgres://b/d']],
    ['addresses of IPv6', 'postgres://u@[::1]:1,[::2]/d', ['postgres://u@[::1]:1/d', 'postgres://u@[::2]/d']],
    ['a comma after its path', 'postgres://a/d?options=-c%20x=1,2', ['postgres://a/d?options=-c%20x=1,2']],
    ['a socket', 'postgresql:///d?host=/run/postgresql', ['postgresql:///d?host=/run/postgresql']],
    ['nonsense', 'nonsense', ['nonsense']],
  ])('with %s is one for each server', (_what, given, urls) => {
    expect(serverList(given).urls).toEqual(urls);
  });

  it('asks for a server that can be written to when it names several, or says so', () => {
    expect(serverList('postgres://a/d').mustWrite).toBe(false);
    expect(serverList('postgres://a,b/d').mustWrite).toBe(true);
    expect(serverList('postgres://a/d?target_session_attrs=read-write').mustWrite).toBe(true);
  });

  it.each([
    ['', undefined],
    ['?target_session_attrs=read-write&load_balance_hosts=disable', undefined],
    ['?target_session_attrs=primary&load_balance_hosts=random', undefined],
    ['?target_session_attrs=any', /target_session_attrs/],
    ['?target_session_attrs=standby', /target_session_attrs/],
    ['?load_balance_hosts=yes', /load_balance_hosts/],
    ['?host=a,b', /several hosts/],
    ['?port=1,2', /several hosts/],
  ])('is refused for what a service that writes cannot follow: %s', (query, problem) => {
    if (problem === undefined) expect(serverListProblem(`postgres://a,b/d${query}`)).toBeUndefined();
    else expect(serverListProblem(`postgres://a,b/d${query}`)).toMatch(problem);
  });
});

describe('connections', () => {
  const named = (query = '') => new DatabaseServers(serverList(`postgres://a,b,c/d${query}`));
  const url = (host: string, query = '') => `postgres://${host}/d${query}`;

  it('go to the first server until it fails, then to the next, and stay there when the first is back', () => {
    const servers = named();
    expect([servers.next(0), servers.next(1)]).toEqual([url('a'), url('a')]);
    servers.leave(url('a'), 2);
    expect(servers.next(3)).toBe(url('b'));
    servers.use(url('b'));
    expect(servers.next(1_000_000)).toBe(url('b'));
  });

  it('that fail at one server all at once pass over no other', () => {
    const servers = named();
    for (let each = 0; each < 20; each++) servers.leave(url('a'), 0);
    expect(servers.next(1)).toBe(url('b'));
  });

  it('come back to the first server after the last', () => {
    const servers = named();
    for (const host of ['a', 'b', 'c']) servers.leave(url(host), 0);
    expect(servers.next(1)).toBe(url('a'));
  });

  describe('that are spread', () => {
    const SPREAD = '?load_balance_hosts=random';
    const taken = (servers: DatabaseServers, count: number, now: number) =>
      Array.from({ length: count }, () => new URL(servers.next(now)).hostname)
        .sort()
        .join('');

    it('go to all servers in turn, and leave the one that fails', () => {
      const servers = named(SPREAD);
      expect(taken(servers, 6, 0)).toBe('aabbcc');
      servers.leave(url('b', SPREAD), 0);
      expect(taken(servers, 4, 4999)).toBe('aacc');
    });

    it('try it again one at a time, and use it when it is back', () => {
      const servers = named(SPREAD);
      servers.leave(url('b', SPREAD), 0);
      expect(taken(servers, 7, 5000)).toMatch(/^a+bc+$/);
      servers.use(url('b', SPREAD));
      expect(taken(servers, 6, 5001)).toBe('aabbcc');
    });

    it('try all when all are away', () => {
      const servers = named(SPREAD);
      for (const host of ['a', 'b', 'c']) servers.leave(url(host, SPREAD), 0);
      expect(taken(servers, 3, 1)).toBe('abc');
    });
  });
});
