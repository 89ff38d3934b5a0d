/** What has been started, undone in the opposite order however the program ends. */
const started = [];
/** Once: what a signal breaks off fails, and must not undo beside the signal. */
let undoing;

/** @param {() => Promise<unknown>} undo */
export function onEnd(undo) {
  started.push(undo);
}

/**
 * Runs a program, and then undoes all that it has started; so do a signal and an unhandled error.
 *
 * @param {() => Promise<boolean>} program answers whether all is well; the process ends with 0 or 1
 */
export async function runToEnd(program) {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    // Each time, or the second would end the program at once and leave the database server behind.
    process.on(signal, () => {
      if (undoing === undefined) process.stderr.write(`\nstopping: ${signal}\n`);
      void undoAll().finally(() => process.exit(130));
    });
  }
  process.on('uncaughtException', (error) => {
    process.stderr.write(`${error.stack}\n`);
    void undoAll().finally(() => process.exit(1));
  });
  try {
    process.exitCode = (await program()) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  } finally {
    await undoAll();
  }
}

function undoAll() {
  return (undoing ??= undoEach());
}

async function undoEach() {
  for (let undo = started.pop(); undo !== undefined; undo = started.pop()) {
    await undo().catch((error) => process.stderr.write(`${error.message}\n`));
  }
}
