/**
 * Adds settlements to a spool until one fails, as on a full disk: a limit on the size of its files takes a part of what is
 * written. Then it lifts the limit and adds one more. Prints the ids of those that were acknowledged as JSON.
 */
import { execFileSync } from 'node:child_process';
import { Spool } from '../../dist/spool.js';

const spool = new Spool(process.argv[2]);
const acknowledged = [];
const add = async (id) => {
  await spool.add({ id, route: 'abort', body: { text: 'x'.repeat(100) } });
  acknowledged.push(id);
};
const prefix = `${process.pid}-`;
for (let place = 0; ; place++) {
  try {
    await add(prefix + place);
  } catch {
    break;
  }
}
execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited']);
await add(`${prefix}after`);
spool.close();
process.stdout.write(JSON.stringify(acknowledged));
