import { Inject, Injectable } from '@nestjs/common';
import type { KeyGateway } from '../../api-keys/key-gateway.js';
import { MalformedRequest, RequestTooLarge } from '../../common/errors/request-errors.js';
import { APP_CONFIG } from '../../config/config.module.js';
import type { AppConfig } from '../../config/env.js';
import type { Gateway, KeptEvent, Reading, Report } from '../gateway.js';
import { digestOf, MalformedLine, readElements, withEach } from './exact-json.js';
import { claimedUser, type LitellmEvent, readEvent, reduceEvent, SOURCE } from './litellm-event.js';
import { LitellmKeys } from './litellm-keys.js';

/** The proxy sends 512 at most, unless configured otherwise. */
const MAXIMUM_EVENTS = 10_000;

/** LiteLLM's proxy: its log of standard logging payloads, and its virtual keys. Rules in README.md beside this file. */
@Injectable()
export class LitellmGateway implements Gateway {
  readonly name = SOURCE;
  readonly keys: KeyGateway | undefined;
  private readonly trustsEndUser: boolean;

  constructor(@Inject(APP_CONFIG) { litellm, trustsLitellmEndUser }: AppConfig) {
    this.keys = litellm === undefined ? undefined : new LitellmKeys(litellm);
    this.trustsEndUser = trustsLitellmEndUser;
  }

  /** @param body a JSON array, newline-delimited JSON, or one object */
  async readLog(body: Buffer): Promise<Report[]> {
    const elements = await readElements(body.toString());
    if (elements === undefined) {
      throw new MalformedRequest('The body is not valid JSON', {
        field: 'body',
        message: 'must be a JSON array, newline-delimited JSON, or a JSON object',
      });
    }
    if (elements.length > MAXIMUM_EVENTS) {
      throw new RequestTooLarge(
        `The body has more than ${MAXIMUM_EVENTS} events`,
        `must have at most ${MAXIMUM_EVENTS} events`,
      );
    }
    const reports: Report[] = [];
    await withEach(elements, (element) => reports.push(this.report(element)));
    return reports;
  }

  readKept(event: KeptEvent): Reading {
    return readEvent(event as LitellmEvent, Date.now(), this.trustsEndUser);
  }

  private report(element: unknown): Report {
    const event = reduceEvent(element);
    const reading: Reading = element === null ? { kind: 'nothing' } : this.readKept(event);
    if (reading.kind === 'unclear' && !isEvent(element)) reading.problem = 'must be a JSON object';
    return {
      reading,
      fingerprint: reading.kind === 'call' ? reading.call.fingerprint : digestOf(element),
      claimedUser: claimedUser(event, this.trustsEndUser),
      event,
    };
  }
}

function isEvent(element: unknown): boolean {
  return typeof element === 'object' && !Array.isArray(element) && !(element instanceof MalformedLine);
}
