import { assertDocumented } from './contract.js';

export interface Answer<Body = Record<string, unknown>> {
  status: number;
  body: Body;
  text: string;
  headers: Headers;
}

/** Real HTTP with fixed headers. Bodies are JSON unless they are text already. */
export class HttpClient {
  /** @param url where requests go, or who says where the next one goes: with several instances, to one after the other */
  constructor(
    private readonly url: string | (() => string),
    private readonly headers: Record<string, string>,
    readonly userId: string,
  ) {}

  /** The same caller at another instance. */
  at(url: string): HttpClient {
    return new HttpClient(url, this.headers, this.userId);
  }

  get<Body = Record<string, unknown>>(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<Answer<Body>> {
    return this.send('GET', path, undefined, headers);
  }

  post<Body = Record<string, unknown>>(
    path: string,
    body: unknown = {},
    headers: Record<string, string> = {},
  ): Promise<Answer<Body>> {
    return this.send('POST', path, body, headers);
  }

  delete<Body = Record<string, unknown>>(path: string): Promise<Answer<Body>> {
    return this.send('DELETE', path, undefined, {});
  }

  async send<Body>(
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
  ): Promise<Answer<Body>> {
    const response = await fetch((typeof this.url === 'string' ? this.url : this.url()) + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...this.headers,
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') ?? false;
    const parsed = (isJson && text !== '' ? JSON.parse(text) : {}) as Body;
    assertDocumented(method, path, response.status, response.headers.get('content-type') ?? '', parsed);
    return {
      status: response.status,
      text,
      body: parsed,
      headers: response.headers,
    };
  }
}
