import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export interface Mail {
  from: string;
  to: string[];
  /** Headers and body as they came. */
  text: string;
}

/** A real SMTP server on this machine, which wants a login. */
export class MailServer {
  readonly received: Mail[] = [];
  /** What it says to a message: an error refuses it. */
  refusal: (Error & { responseCode?: number }) | undefined;
  /** To whom it takes nothing, for the moment. */
  refused: string | undefined;
  private readonly server = new SMTPServer({
    authOptional: false,
    // Without TLS on loopback.
    allowInsecureAuth: true,
    hideSTARTTLS: true,
    onAuth: ({ username, password }, _session, done) =>
      username === 'mailer' && password === 'a-password-of-the-tests'
        ? done(null, { user: username })
        : done(new Error('no')),
    onRcptTo: ({ address }, _session, done) =>
      address === this.refused ? done(Object.assign(new Error('later'), { responseCode: 450 })) : done(),
    onData: (stream, session, done) => {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        if (this.refusal !== undefined) return done(this.refusal);
        const { mailFrom, rcptTo } = session.envelope;
        this.received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(parts).toString('utf8'),
        });
        done();
      });
    },
  });

  async start(): Promise<this> {
    await new Promise<void>((listening) => this.server.listen(0, '127.0.0.1', listening));
    // A client that goes away in the middle is no fault of the test.
    this.server.on('error', () => undefined);
    return this;
  }

  get url(): string {
    const { port } = this.server.server.address() as AddressInfo;
    return `smtp://mailer:a-password-of-the-tests@127.0.0.1:${port}`;
  }

  close(): Promise<void> {
    return new Promise((closed) => this.server.close(closed));
  }
}
