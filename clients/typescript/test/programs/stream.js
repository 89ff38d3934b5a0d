/** Reads streams of OpenAI until it is ended; `drainOnExit` settles them. Prints `reading` when all have begun. */
import OpenAI from 'openai';
import { Accounting } from '../../dist/index.js';
import { metered } from '../../dist/openai.js';

const { options, provider, model, streams, scenario, seconds } = JSON.parse(process.argv[2]);
const accounting = new Accounting(options);
if (seconds !== undefined) accounting.drainOnExit({ seconds });
const openai = metered(new OpenAI({ apiKey: 'any', baseURL: `${provider}/v1` }), { accounting });
let begun = 0;
const messages = [{ role: 'user', content: 'the of and' }];
await Promise.all(
  Array.from({ length: streams }, async (_, index) => {
    const own = scenario.id === undefined ? {} : { id: `${scenario.id}-${index}` };
    const headers = { 'x-fake': JSON.stringify({ ...scenario, ...own }) };
    let chunks = 0;
    for await (const _ of await openai.chat.completions.create(
      { model, messages, stream: true },
      { headers },
    ))
      if (++chunks === 10 && ++begun === streams) process.stdout.write('reading all\n');
  }),
);
process.stdout.write('ended all\n');
