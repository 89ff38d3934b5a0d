/**
 * Makes sessions one after another and settles each with its own number of tokens, until it is killed. Prints
 * `open ID` and `settled ID TOKENS` for each, the latter when `finalize` has returned.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Accounting } from '../../dist/index.js';

const { options, modelId } = JSON.parse(process.argv[2]);
const accounting = new Accounting({
  ...options,
  onError: (error) => process.stdout.write(`error ${error.message}\n`),
});
for (let call = 1; ; call++) {
  const sessionId = randomUUID();
  try {
    const session = await accounting.session({ modelId, sessionId, inputTokens: 3, maxOutputTokens: 100 });
    process.stdout.write(`open ${sessionId}\n`);
    await session.finalize({ inputTokens: 3, outputTokens: call % 50 });
    process.stdout.write(`settled ${sessionId} ${3 + (call % 50)}\n`);
  } catch (error) {
    process.stdout.write(`refused ${error.name} ${error.message}\n`);
    await pause(50);
  }
  await pause(5);
}
