import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream';
import { createUnzip } from 'node:zlib';
import { oneAtATime } from './name-lookup.js';

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
  readonly contentType: string;
  readonly text: string;
}

const lookup = oneAtATime();

/**
 * One request on a connection of its own. Redirections are answers like others: they are not followed.
 *
 * @throws TooLate; an error for an answer that is too long or cut off; a connection that fails has its `code`
 */
export function boundedFetch(url: string | URL, request: BoundedRequest): Promise<BoundedAnswer> {
  return withDeadline(request.deadlineMilliseconds, (opened) => exchange(new URL(url), request, opened));
}

export class TooLate extends Error {}

/** Answers that only announce the answer: `100 Continue`, `103 Early Hints`. */
const MAXIMUM_ANNOUNCEMENTS = 10;

type Opened = { destroy(): unknown }[];

/**
 * What an exchange with another server answers. What it has opened is destroyed when it ends.
 *
 * The deadline is a timer of its own: after a collection of garbage the `signal` of the built-in `fetch` no longer ends
 * the reading of a body (Node 20), and the caller would wait for ever.
 *
 * @throws TooLate, and what the exchange throws
 */
export async function withDeadline<Answer>(
  milliseconds: number,
  exchangeWith: (opened: Opened) => Promise<Answer>,
): Promise<Answer> {
  const opened: Opened = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new TooLate(`the answer took more than ${milliseconds} ms`)),
      milliseconds,
    );
  });
  try {
    return await Promise.race([exchangeWith(opened), late]);
  } finally {
    clearTimeout(timer);
    for (const stream of opened) stream.destroy();
  }
}

/**
 * The headers of an answer. A connection that ends without them is an error: after `101 Switching Protocols` Node emits
 * neither a response nor an error. An error after the answer has a listener too, without which it would end the process.
 */
export function responseTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let announced = 0;
    request.on('information', () => {
      if (++announced > MAXIMUM_ANNOUNCEMENTS)
        request.destroy(new Error('the answer is announced without end'));
    });
    request.on('response', resolve).on('error', reject);
    request.on('close', () => reject(new Error('the connection was closed without an answer')));
  });
}

async function exchange(
  url: URL,
  { method = 'GET', headers, body = '', maximumBytes }: BoundedRequest,
  opened: Opened,
): Promise<BoundedAnswer> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const length = method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) };
  const request = send(url, {
    method,
    headers: { 'accept-encoding': 'gzip', ...headers, ...length },
    agent: false,
    lookup,
  });
  opened.push(request);
  request.end(body);
  const response = await responseTo(request);
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
  const {
    statusCode: status = 0,
    headers: { 'content-type': contentType = '' },
  } = response;
  return { status, contentType, text: Buffer.concat(parts).toString('utf8') };
}
