/** What a browser does of itself: it keeps cookies, and follows redirects. One address may stand for another (`at`). */
export class BrowserWithoutScripts {
  /** By host and name, with what else the server has said of them. */
  readonly cookies = new Map<string, { value: string; attributes: string }>();

  constructor(
    private readonly publicUrl: string,
    /** Where the service is that browsers reach at `publicUrl`. */
    public at: string,
  ) {}

  /** One request, as it is; with the cookies of its host. */
  async request(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin, host, pathname, search } = new URL(url, this.publicUrl);
    const isOurs = origin === this.publicUrl;
    const response = await fetch((isOurs ? this.at : origin) + pathname + search, {
      redirect: 'manual',
      ...init,
      headers: { ...this.cookieHeader(host), ...(init.headers as Record<string, string>) },
    });
    for (const line of response.headers.getSetCookie()) this.keep(host, line);
    return response;
  }

  /** Follows redirects until one leads to `stop`, or to a page. @returns the address of the last request or redirect */
  async follow(url: string, stop?: string): Promise<string> {
    for (let hops = 0; hops < 20; hops++) {
      const response = await this.request(url);
      const next = response.headers.get('location');
      await response.arrayBuffer();
      if (next === null) return url;
      url = new URL(next, new URL(url, this.publicUrl)).href;
      if (stop !== undefined && url.startsWith(stop)) return url;
    }
    throw new Error(`too many redirects, the last to ${url}`);
  }

  /** As a script of a page of this service sends it. */
  script(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { 'x-requested-by': 'console', 'sec-fetch-site': 'same-origin' };
    return this.request(path, {
      ...init,
      headers: { ...headers, ...(init.headers as Record<string, string>) },
    });
  }

  /** The service's cookie whose name contains this. */
  cookie(part: string): { name: string; value: string; attributes: string } | undefined {
    const { host } = new URL(this.publicUrl);
    const found = [...this.cookies].find(([name]) => name.startsWith(`${host} `) && name.includes(part));
    return found && { name: found[0].split(' ')[1] as string, ...found[1] };
  }

  private cookieHeader(host: string): Record<string, string> {
    const pairs = [...this.cookies]
      .filter(([name]) => name.startsWith(`${host} `))
      .map(([name, { value }]) => `${name.split(' ')[1]}=${value}`);
    return pairs.length === 0 ? {} : { cookie: pairs.join('; ') };
  }

  private keep(host: string, line: string): void {
    const [pair = '', ...attributes] = line.split('; ');
    const [name, ...value] = pair.split('=');
    const key = `${host} ${name}`;
    const isEnded = attributes.some((each) => /^expires=Thu, 01 Jan 1970/i.test(each));
    if (isEnded) this.cookies.delete(key);
    else this.cookies.set(key, { value: value.join('='), attributes: attributes.join('; ') });
  }
}
