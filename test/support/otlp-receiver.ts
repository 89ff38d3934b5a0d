import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  status: { code?: number };
  attributes: Record<string, unknown>;
}

interface OtlpAttribute {
  key: string;
  value: Record<string, unknown>;
}
interface OtlpRequest {
  resourceSpans: {
    scopeSpans: { spans: (Omit<ReceivedSpan, 'attributes'> & { attributes: OtlpAttribute[] })[] }[];
  }[];
}

/** A receiver of OTLP over HTTP, as little of it as a test needs: https://opentelemetry.io/docs/specs/otlp/ */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = [];
  /** Everything received, as it came. */
  text = '';
  /** What it does with a request from now on. */
  mode: 'answers' | 'hangs' | 'fails' = 'answers';
  private readonly server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (this.mode === 'hangs') return;
      if (this.mode === 'fails') return void response.writeHead(500).end();
      const body = Buffer.concat(parts);
      this.take((request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString());
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });

  async start(): Promise<this> {
    await new Promise<void>((listening) => this.server.listen(0, '127.0.0.1', listening));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }

  private take(text: string): void {
    this.text += text;
    for (const { scopeSpans } of (JSON.parse(text) as OtlpRequest).resourceSpans) {
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        const pairs = span.attributes.map(({ key, value }) => [key, Object.values(value)[0]] as const);
        this.spans.push({ ...span, attributes: Object.fromEntries(pairs) });
      }
    }
  }
}
