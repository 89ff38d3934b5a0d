import { lookup, type LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { isPublic, publicLookup, targetProblem } from './webhook-target.js';

/** https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-special-registry, and what embeds IPv4. */
const SPECIAL = {
  'this network': ['0.0.0.0', '0.255.255.255'],
  'private use': [
    '10.0.0.0',
    '10.255.255.255',
    '172.16.0.0',
    '172.31.255.255',
    '192.168.0.0',
    '192.168.255.255',
  ],
  'shared by carriers': ['100.64.0.0', '100.127.255.255'],
  loopback: ['127.0.0.0', '127.255.255.255', '::1'],
  'link-local': [
    '169.254.0.0',
    '169.254.169.254',
    '169.254.255.255',
    'fe80::',
    'fe80::1%eth0',
    'febf:ffff::1',
  ],
  'protocol assignments': [
    '192.0.0.0',
    '192.0.0.8',
    '192.0.0.171',
    '192.0.0.255',
    '2001::',
    '2001:1::1',
    '2001:1ff::1',
  ],
  documentation: [
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '2001:db8::1',
    '2001:db8:ffff::1',
    '3fff::',
    '3fff:fff::1',
  ],
  AS112: ['192.31.196.1', '192.175.48.1', '2001:4:112::1', '2620:4f:8000::1'],
  AMT: ['192.52.193.1', '2001:3::1'],
  benchmarking: ['198.18.0.0', '198.19.255.255', '2001:2::1'],
  'multicast and reserved': [
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    'ff00::',
    'ff02::1',
    'ffff::1',
  ],
  '6to4': ['192.88.99.1', '2002::', '2002:7f00:1::', '2002:5db8:d822::', '2002:ffff::1'],
  unspecified: ['::', '0:0:0:0:0:0:0:0'],
  'IPv4-compatible': ['::127.0.0.1', '::10.0.0.1', '::7f00:1', '::93.184.216.34', '::ffff:1'],
  'IPv4-mapped': [
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:169.254.169.254',
    '::ffff:10.0.0.1',
    '::ffff:0.0.0.0',
  ],
  'IPv4-translated': ['::ffff:0:127.0.0.1', '::ffff:0:5db8:d822'],
  NAT64: [
    '64:ff9b::127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::93.184.216.34',
    '64:ff9b:1::1',
    '64:ff9b:1:ffff::1',
  ],
  'discard only': ['100::', '100::1', '100:0:0:1::1'],
  Teredo: ['2001:0:4136:e378:8000:63bf:80ff:fffe', '2001::1'],
  ORCHID: ['2001:10::1', '2001:20::1', '2001:2f:ffff::1', '2001:30::1'],
  'segment routing': ['5f00::', '5f00:ffff::1'],
  'of a cloud': ['168.63.129.16', '::ffff:168.63.129.16'],
  'given back': ['3ffe::1', '3ffe:ffff::1'],
  'unique local': ['fc00::', 'fd00::1', 'fd00:ec2::254', 'fdff:ffff::1'],
  'site-local, which is deprecated': ['fec0::', 'feff:ffff::1'],
  'what is not given out yet': ['1fff:ffff::1', '4000::1', '8000::1', 'e000::1', '200::1', '400::1'],
};
const PUBLIC = [
  '1.1.1.1',
  '93.184.216.34',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.0.1',
  '172.32.0.1',
  '192.0.1.1',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2606:2800:220:1:248:1893:25c8:1946',
  '2a00:1450:4001:830::200e',
  '2001:200::1',
  '2001:4860:4860::8888',
  '2400:cb00::1',
  '168.63.129.15',
  '3ffd::1',
  '::ffff:93.184.216.34',
];
const RULES = { allowsHttp: true, allowsPrivateAddresses: false };
const urlOf = (address: string) => `http://${address.includes(':') ? `[${address}]` : address}/hook`;

/** What a connection to a name with these addresses gets. */
function connect(...addresses: string[]): Promise<Error | null> {
  const resolve = ((_: string, __: object, answer: (error: null, all: LookupAddress[]) => void) =>
    answer(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as never;
  return new Promise((done) => publicLookup(resolve)('name.test', { all: true }, (error) => done(error)));
}

describe('addresses', () => {
  it.each(Object.entries(SPECIAL))('of a special purpose are not public: %s', async (_, addresses) => {
    for (const address of addresses) {
      expect(isPublic(address), address).toBe(false);
      expect(targetProblem(urlOf(address), RULES), address).toBeDefined();
      expect(await connect(address), address).toBeInstanceOf(Error);
      expect(await connect('93.184.216.34', address), address).toBeInstanceOf(Error);
    }
  });

  it.each(PUBLIC)('that are given out are public: %s', async (address) => {
    expect(isPublic(address)).toBe(true);
    expect(targetProblem(urlOf(address), RULES)).toBeUndefined();
    expect(await connect(address)).toBeNull();
  });

  it.each([
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '0177.0.0.01',
    '017700000001',
    '127.0.0.1.',
    '127.1.',
    '%31%32%37.0.0.1',
    '１２７.0.0.1',
    '127。0。0。1',
    '0',
    '10.65535',
    '0xa9fea9fe',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:7f00:0001]',
    '[0000:0000:0000:0000:0000:ffff:127.0.0.1]',
    '[::127.0.0.1]',
    '[FE80::1]',
    '[fe80::1%25eth0]',
  ])('are known in every form that a URL may write them in: %s', (host) => {
    expect(targetProblem(`http://${host}/hook`, RULES)).toBeDefined();
  });

  it.each([
    '',
    'localhost',
    'hooks.example',
    '1.2.3',
    '1.2.3.4.5',
    '93.184.216.034',
    '2606::1%eth0',
    'x%1',
    '::1::',
  ])('are in one form when they are looked at, and what is none is not public: %s', (text) =>
    expect(isPublic(text)).toBe(false),
  );

  it('of a name are looked at when it is connected to, with or without a dot at its end', async () => {
    for (const host of ['localhost', 'localhost.', 'hooks.example.'])
      expect(targetProblem(`http://${host}/hook`, RULES)).toBeUndefined();
    const system = await new Promise((done) => publicLookup(lookup)('localhost', { all: true }, done));
    expect(system).toBeInstanceOf(Error);
    expect(await connect()).toBeInstanceOf(Error);
  });
});
