import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Turns } from '../turns.js';

/** Longer than any exchange waits for its answer. */
const PATIENCE_MILLISECONDS = 30_000;
/** A failure that took so long was a name server's silence. */
const SILENCE_MILLISECONDS = 1000;
const FORGET_MILLISECONDS = 30_000;

/**
 * Lookups for connections to other servers, one at a time. The system's lookup keeps a thread of the process until name
 * servers have answered, or have been silent for 10 seconds and more, and only two threads look names up: connections to
 * the database would wait for them. Requests for one name share a lookup, and the name of a silent server is not looked
 * up again for half a minute. Resolvers without threads are no substitute: they know neither /etc/hosts nor the
 * domains to search.
 */
export function oneAtATime(resolve: LookupFunction = systemLookup): LookupFunction {
  const turns = new Turns({
    perKey: 1,
    inAll: 1,
    patienceMilliseconds: PATIENCE_MILLISECONDS,
    waitingPerKey: 1,
    waitingInAll: Infinity,
  });
  const underWay = new Map<string, Promise<LookupAddress[]>>();
  const silent = new Map<string, Error>();

  const addressesOf = async (hostname: string, options: LookupOptions): Promise<LookupAddress[]> => {
    const silence = silent.get(hostname);
    if (silence !== undefined) throw silence;
    return turns.run(hostname, () => look(hostname, options));
  };

  const look = (hostname: string, options: LookupOptions) =>
    new Promise<LookupAddress[]>((found, fail) => {
      const startedAt = performance.now();
      resolve(hostname, { ...options, all: true }, (error, addresses) => {
        if (error === null) return found(addresses as LookupAddress[]);
        if (performance.now() - startedAt > SILENCE_MILLISECONDS) {
          silent.set(hostname, error);
          setTimeout(() => silent.delete(hostname), FORGET_MILLISECONDS).unref();
        }
        fail(error);
      });
    });

  return (hostname, options: LookupOptions, callback) => {
    const shared = underWay.get(hostname);
    const lookup = shared ?? addressesOf(hostname, options).finally(() => underWay.delete(hostname));
    if (shared === undefined) underWay.set(hostname, lookup);
    lookup.then(
      (addresses) => {
        const [first] = addresses;
        if (options.all || first === undefined) callback(null, addresses);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}
