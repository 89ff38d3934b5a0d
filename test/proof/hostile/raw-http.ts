import { connect } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** An answer that takes longer than this is none. */
const PATIENCE_MILLISECONDS = 15_000;

type Wire = string | Buffer | readonly (string | Buffer)[];

/**
 * Writes these bytes on a connection of its own and reads what comes back until the server closes it, or until as many
 * answers are there as asked for.
 */
export async function exchange(url: string, wire: Wire, answers = Infinity): Promise<RawAnswer[]> {
  return answersIn(await receive(url, wire, (received) => answersIn(received).length >= answers));
}

/** The same, as bytes. */
export async function receive(
  url: string,
  wire: Wire,
  isEnough: (received: Buffer) => boolean = () => false,
): Promise<Buffer> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.setTimeout(PATIENCE_MILLISECONDS, () => socket.destroy(new Error('no answer in time')));
  for (const part of [wire].flat()) socket.write(part);
  let received = Buffer.alloc(0);
  let failure: NodeJS.ErrnoException | undefined;
  await new Promise<void>((done) => {
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (isEnough(received)) socket.end(done);
    });
    socket.once('error', (error) => (failure = error));
    socket.once('close', () => done());
  });
  socket.destroy();
  // A reset is how a server stops reading; whatever came before it is the answer.
  if (failure !== undefined && failure.code !== 'ECONNRESET') throw failure;
  return received;
}

/** Writes these bytes and goes away without waiting for an answer. */
export async function abandon(url: string, wire: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await new Promise<void>((written, failed) => {
    socket.once('error', failed);
    socket.write(wire, () => written());
  });
  socket.resetAndDestroy();
}

/** The answers that are there whole. */
function answersIn(received: Buffer): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = received;
  for (let end = rest.indexOf('\r\n\r\n'); end >= 0; end = rest.indexOf('\r\n\r\n')) {
    const [start = '', ...lines] = rest.subarray(0, end).toString('latin1').split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(start)?.[1]);
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const length = Number(headers.get('content-length') ?? 0);
    if (rest.length < end + 4 + length) break;
    answers.push({ status, headers, body: rest.subarray(end + 4, end + 4 + length).toString('utf8') });
    rest = rest.subarray(end + 4 + length);
  }
  return answers;
}
