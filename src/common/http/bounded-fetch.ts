import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream';
import { createUnzip } from 'node:zlib';

export interface BoundedRequest {
  readonly method?: 'GET' | 'POST';
  readonly headers: Record<string, string>;
  readonly body?: string | Buffer;
  /** For the whole exchange, from the connection to the last byte of the answer. */
  readonly deadlineMilliseconds: number;
  /** Of the answer's body after decompression. */
  readonly maximumBytes: number;
}

export interface BoundedAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * One request on a connection of its own. Redirections are answers like others: they are not followed.
 *
 * The deadline is a timer of its own: after a collection of garbage the `signal` of the built-in `fetch` no longer ends
 * the reading of a body (Node 20), and the caller would wait for ever.
 *
 * @throws for an answer that is late, too long or cut off; a connection that fails has its `code`
 */
export async function boundedFetch(url: string | URL, request: BoundedRequest): Promise<BoundedAnswer> {
  const { deadlineMilliseconds } = request;
  const opened: { destroy(): unknown }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new Error(`the answer took more than ${deadlineMilliseconds} ms`));
    timer = setTimeout(fail, deadlineMilliseconds);
  });
  try {
    return await Promise.race([exchange(new URL(url), request, opened), late]);
  } finally {
    clearTimeout(timer);
    for (const stream of opened) stream.destroy();
  }
}

async function exchange(
  url: URL,
  { method = 'GET', headers, body = '', maximumBytes }: BoundedRequest,
  opened: { destroy(): unknown }[],
): Promise<BoundedAnswer> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const length = method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) };
  const request = send(url, {
    method,
    headers: { 'accept-encoding': 'gzip', ...headers, ...length },
    agent: false,
  });
  opened.push(request);
  // Without a listener an error after the answer would end the process.
  request.on('error', () => undefined);
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const isPacked = /^(x-)?(gzip|deflate)$/i.test(response.headers['content-encoding'] ?? '');
  const plain = isPacked ? pipeline(response, createUnzip(), () => undefined) : response;
  opened.push(response, plain);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of plain as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > maximumBytes) throw new Error(`the answer has more than ${maximumBytes} bytes`);
    parts.push(part);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') };
}
