/** The application: plays one way with one tool. Prints `reading` when every stream runs, and what each consumer saw. */
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { TOOLS } from './tools.js';

// Nothing leaves this machine, whatever a package does.
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args;
  if (!['127.0.0.1', 'localhost'].includes(options.host)) throw new Error(`refused: ${options.host}`);
  return connect.apply(this, args);
};
process.on('unhandledRejection', (error) => process.stdout.write(`unhandled ${error}\n`));

const world = JSON.parse(process.argv[2]);
const start = await TOOLS[world.tool](world);
let reading = 0;
await Promise.all(world.calls.map(play));
process.stdout.write('ended\n');
// What is sent in the background gets its time, as in a server that runs on.
await pause(world.lingerSeconds * 1000);
process.exit(0);

async function play({ id, scenario, leaveAt }) {
  const headers = { 'x-fake': JSON.stringify({ id, ...scenario }) };
  let chunks = 0;
  try {
    for await (const _ of await start(id, { headers, signal: new AbortController().signal })) {
      chunks++;
      if (chunks === 10 && ++reading === world.calls.length) process.stdout.write('reading\n');
      if (chunks !== leaveAt) continue;
      if (world.way === 'throws') throw new Error('of the consumer');
      break;
    }
    process.stdout.write(`call ${id} ${chunks} ended\n`);
  } catch (error) {
    process.stdout.write(`call ${id} ${chunks} ${error.constructor.name}\n`);
  }
}
