import { Inject, Injectable } from '@nestjs/common';
import { createTransport, type Transporter } from 'nodemailer';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { type Attempt, WebhookSender } from '../events/webhook-sender.js';
import { WebhookSecrets } from '../events/webhook-secrets.js';
import { type AlertText, slackBody } from './alert-message.js';
import type { AlertChannel, AlertRule } from './entities/alert-rule.entity.js';

type Target = Pick<AlertRule, 'channel' | 'recipients' | 'url'>;

/** Connecting, greeting, a login and the message have a time limit each; so has each recipient. */
const STEPS = 4;

/** Sends messages to people: by the mail server of the settings, or to a Slack-compatible webhook. */
@Injectable()
export class AlertSender {
  private readonly mail: Transporter | undefined;
  private readonly from: string;
  private readonly host: string;
  private readonly stopping = new AbortController();
  private readonly stepMilliseconds: number;

  constructor(
    private readonly sender: WebhookSender,
    private readonly secrets: WebhookSecrets,
    @Inject(APP_CONFIG) { smtp, webhooks: { timeoutMilliseconds } }: AppConfig,
  ) {
    this.stepMilliseconds = timeoutMilliseconds;
    this.from = smtp?.from ?? '';
    this.host = /@([^\s>]+)/.exec(this.from)?.[1] ?? 'localhost';
    if (smtp === undefined) return;
    const { url, requiresTls } = smtp;
    this.mail = createTransport({
      url,
      requireTLS: requiresTls,
      connectionTimeout: timeoutMilliseconds,
      greetingTimeout: timeoutMilliseconds,
      socketTimeout: timeoutMilliseconds,
      dnsTimeout: timeoutMilliseconds,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  /** Ends what is under way: it fails, and is tried again. */
  close(): void {
    this.stopping.abort();
  }

  /** The most that an attempt takes, in milliseconds. */
  limitOf({ recipients }: Pick<Target, 'recipients'>): number {
    return (STEPS + (recipients?.length ?? 0)) * this.stepMilliseconds;
  }

  /** What it can send to. */
  get channels(): AlertChannel[] {
    return this.mail === undefined ? ['slack'] : ['slack', 'email'];
  }

  /**
   * One attempt. It never throws.
   *
   * @param id the same each time that the same message is sent
   */
  async send({ channel, recipients, url }: Target, id: string, text: AlertText): Promise<Attempt> {
    if (channel === 'email') return this.email(recipients ?? [], id, text);
    try {
      return await this.sender.send(this.secrets.open(url ?? ''), [], { id, body: slackBody(text) });
    } catch (error) {
      return failed((error as Error).message, 0);
    }
  }

  private async email(recipients: string[], id: string, { subject, lines }: AlertText): Promise<Attempt> {
    if (this.mail === undefined) return failed('SMTP_URL is not set', 0);
    const startedAt = performance.now();
    // The library's own limits begin anew with each byte.
    const deadline = AbortSignal.timeout(this.limitOf({ recipients }));
    const milliseconds = () => Math.round(performance.now() - startedAt);
    try {
      const { rejected } = await this.mail.sendMail({
        from: this.from,
        to: recipients,
        subject,
        text: `${lines.join('\n')}\n`,
        messageId: `<${id}@${this.host}>`,
        headers: { 'Auto-Submitted': 'auto-generated' },
        signal: AbortSignal.any([this.stopping.signal, deadline]),
      });
      return {
        isDelivered: true,
        status: null,
        error: refusalOf(rejected as unknown as string[], recipients.length),
        retryAfterSeconds: 0,
        milliseconds: milliseconds(),
      };
    } catch (error) {
      const reason = deadline.aborted ? 'the mail server is too slow' : reasonOf(error as MailError);
      return failed(reason, milliseconds());
    }
  }
}

interface MailError extends Error {
  code?: string;
  responseCode?: number;
}

/** The library sends to those whom the server takes. */
const refusalOf = (refused: string[], all: number): string | null =>
  refused.length === 0 ? null : `the mail server refused ${refused.length} of ${all} recipients`;

/** Never a word of the server's: it may repeat what it was sent. */
function reasonOf({ code, responseCode }: MailError): string {
  if (responseCode !== undefined) return `the mail server answered ${responseCode}`;
  return code === undefined ? 'the mail server cannot be used' : `the mail server cannot be used (${code})`;
}

const failed = (error: string, milliseconds: number): Attempt => ({
  isDelivered: false,
  status: null,
  error: error.slice(0, 200),
  retryAfterSeconds: 0,
  milliseconds,
});
