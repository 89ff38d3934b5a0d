import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface TargetRules {
  readonly allowsHttp: boolean;
  readonly allowsPrivateAddresses: boolean;
}

/**
 * The only block of IPv6 out of which public addresses are given: https://www.iana.org/assignments/ipv6-address-space.
 * The library calls addresses beyond it unicast too, among them `::a.b.c.d`, which some systems send to the IPv4 address.
 */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/** Unicast by the registries, and yet none of the public internet. */
const NOT_PUBLIC = [
  // The agents and the name server of a machine at Azure.
  ipaddr.parseCIDR('168.63.129.16/32'),
  // The 6bone, whose addresses were given back: https://www.rfc-editor.org/rfc/rfc3701
  ipaddr.parseCIDR('3ffe::/16'),
];

const FIRST_FREE_PORT = 1024;
/**
 * Ports of other services, which an HTTP request could be made to talk to: those that browsers refuse
 * (https://fetch.spec.whatwg.org/#port-blocking) and those of databases, caches and queues.
 */
const OTHER_SERVICES = new Set([
  1433, 1434, 1521, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061,
  5432, 5672, 5984, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 9042, 9092, 9200, 9300, 10080,
  10250, 11211, 27017,
]);

/** Why nothing can be delivered to a URL, or undefined when it can. What its name resolves to is seen at each connection. */
export function targetProblem(text: string, { allowsHttp, allowsPrivateAddresses }: TargetRules) {
  if (!URL.canParse(text)) return 'must be an absolute URL';
  const url = new URL(text);
  const isSecure = url.protocol === 'https:';
  if (!isSecure && !(allowsHttp && url.protocol === 'http:')) {
    return `must begin with ${allowsHttp ? 'https:// or http://' : 'https://'}`;
  }
  if (url.username !== '' || url.password !== '') return 'must not contain a user or password';
  if (url.hash !== '') return 'must not have a fragment';
  const port = Number(url.port || (isSecure ? 443 : 80));
  const isUsual = port === 80 || port === 443 || port >= FIRST_FREE_PORT;
  if (!isUsual || OTHER_SERVICES.has(port)) return `must not use port ${port}`;
  const host = hostOf(url);
  if (isIP(host) !== 0 && !allowsPrivateAddresses && !isPublic(host))
    return 'must not name a private address';
  return undefined;
}

/** The host without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** Whether an address is of the public internet. Every special purpose of IANA's registries excludes it, in both families. */
export function isPublic(address: string): boolean {
  // An address with a zone (`%eth0`) belongs to a link of this machine.
  if (isIP(address) === 0 || address.includes('%')) return false;
  // In the URL's form, without dots: the library takes `::a.b.c.d` for `::ffff:a.b.c.d`.
  const plain = isIP(address) === 6 ? hostOf(new URL(`http://[${address}]`)) : address;
  // An IPv4 address that is written as IPv6 (`::ffff:a.b.c.d`) counts as what it is.
  const parsed = ipaddr.process(plain);
  if (parsed.range() !== 'unicast') return false;
  if (NOT_PUBLIC.some(([block, bits]) => parsed.kind() === block.kind() && parsed.match(block, bits)))
    return false;
  return parsed.kind() === 'ipv4' || (parsed as ipaddr.IPv6).match(GLOBAL_UNICAST);
}

/** An error whose message explains to the admin, and in the log, why a delivery was not even sent. */
export class PrivateAddress extends Error {
  constructor() {
    super('resolves to a private address');
  }
}

/**
 * Resolves a name for the connection that is about to be made: what is looked at is what is connected to, so that a name
 * cannot show one address and mean another. One private address among several is enough to refuse.
 */
export function publicLookup(resolve: LookupFunction): LookupFunction {
  return (hostname, options: LookupOptions, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '', 0);
      const addresses = found as LookupAddress[];
      const [first] = addresses;
      if (first === undefined || !addresses.every(({ address }) => isPublic(address))) {
        return callback(new PrivateAddress(), '', 0);
      }
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
