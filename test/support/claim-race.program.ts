import { setTimeout as pause } from 'node:timers/promises';
import { claimDirectory } from '../../src/postgres-server/postgres-ownership.js';

/** A process that tries to claim one directory after the other, each at the same moment as its rivals. */
const [prefix, rounds, firstMoment] = process.argv.slice(2);
const MILLISECONDS_PER_ROUND = 30;

const won: number[] = [];
for (let round = 0; round < Number(rounds); round++) {
  const moment = Number(firstMoment) + round * MILLISECONDS_PER_ROUND;
  await pause(Math.max(0, moment - Date.now() - 2));
  while (Date.now() < moment);
  await claimDirectory(`${prefix}${round}`).then(
    () => won.push(round),
    () => undefined,
  );
}
// It lives on until it is left alone: its claims would be free otherwise.
process.once('disconnect', () => undefined);
process.send?.({ won });
