import type { Response } from 'express';

/** A reader must take so much in the time that it has; more is not written before. */
const PIECE_BYTES = 64 * 1024;

/**
 * Sends lines of CSV as a file. What fails up to the first lines is refused like anything else; later only the connection
 * can say it. A reader who takes no piece of 64 kB within `patienceSeconds` is cut off.
 */
export async function sendCsv(
  lines: AsyncGenerator<string>,
  response: Response,
  { fileName, patienceSeconds }: { fileName: string; patienceSeconds: number },
): Promise<undefined> {
  const isHead = response.req.method === 'HEAD';
  const first = isHead ? undefined : await lines.next();
  response.setHeader('Content-Type', 'text/csv; charset=utf-8');
  response.setHeader('Content-Disposition', `attachment; filename="${fileName}"`);
  try {
    if (first !== undefined && !first.done) {
      await write(first.value, response, patienceSeconds);
      for await (const more of lines) await write(more, response, patienceSeconds);
    }
    response.end();
  } catch (error) {
    response.destroy();
    // The reader has gone or reads nothing: no answer is possible, and this is no fault.
    if (!(error instanceof ReaderGone)) throw error;
  } finally {
    await lines.return(undefined);
  }
  return undefined;
}

class ReaderGone extends Error {}

async function write(text: string, response: Response, patienceSeconds: number): Promise<void> {
  // Also where there is nothing to write: a search that finds nothing more would go on to its end.
  if (response.destroyed) throw new ReaderGone();
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const goesOn = response.write(bytes.subarray(at, at + PIECE_BYTES));
    if (!goesOn) await drained(response, patienceSeconds);
  }
}

function drained(response: Response, patienceSeconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: Error) => {
      clearTimeout(timer);
      response.off('drain', onDrain).off('close', onClose);
      if (error) reject(error);
      else resolve();
    };
    const onDrain = () => end();
    const onClose = () => end(new ReaderGone());
    const timer = setTimeout(onClose, patienceSeconds * 1000);
    response.once('drain', onDrain).once('close', onClose);
  });
}
