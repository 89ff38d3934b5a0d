import { mkdtempSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Answer } from '../../support/http-client.js';
import type { HostileRequest } from './generator.js';

/** Sends requests as they are, byte for byte; the usual clients would correct them first. */
export class HostileClient {
  private readonly agent: Agent;

  constructor(
    private readonly url: string,
    connections: number,
  ) {
    this.agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  async send({ method, target, headers, body }: HostileRequest): Promise<Answer<object>> {
    const { hostname, port } = new URL(this.url);
    const options = { hostname, port, method, path: target, headers, agent: this.agent };
    const incoming = await new Promise<IncomingMessage>((answered, failed) => {
      request(options, answered).on('error', failed).end(body);
    });
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const isJson = incoming.headers['content-type']?.includes('json') ?? false;
    return {
      status: incoming.statusCode ?? 0,
      text,
      body: (isJson && text !== '' ? JSON.parse(text) : {}) as object,
      headers: new Headers(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
    };
  }

  close(): void {
    this.agent.destroy();
  }
}

/** Longer bodies go to a file beside the command. */
const BODY_IN_COMMAND_BYTES = 2000;

/** The request as a command line, to send it again by hand to the service at `$URL`. */
export function curlOf({ method, target, headers, body }: HostileRequest): string {
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const parts = ['curl -i --path-as-is -X', method];
  for (const [name, value] of Object.entries(headers)) {
    if (name !== 'content-length') parts.push('-H', quote(value === '' ? `${name};` : `${name}: ${value}`));
  }
  parts.push(`"$URL"${quote(target)}`);
  if (body === undefined) return parts.join(' ');
  if (body.length <= BODY_IN_COMMAND_BYTES) {
    return `echo ${body.toString('base64')} | base64 -d | ${parts.join(' ')} --data-binary @-`;
  }
  const file = join(mkdtempSync(join(tmpdir(), 'hostile-')), 'body');
  writeFileSync(file, body);
  return `${parts.join(' ')} --data-binary @${file}`;
}
