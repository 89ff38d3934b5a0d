import { Inject, Injectable, Logger } from '@nestjs/common';
import { MalformedRequest, RequestTooLarge } from '../common/errors/request-errors.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/env.js';
import { Turns } from '../common/turns.js';
import type { EventCountsDto } from './dto/litellm.responses.js';
import { digestOf, MalformedLine, readElements, withEach } from './exact-json.js';
import { LitellmChargesService } from './litellm-charges.service.js';
import { type Call, claimedUser, readEvent, type ReducedEvent, reduceEvent } from './litellm-event.js';
import { type Quarantined, QuarantineService } from './quarantine.service.js';

/** The proxy sends 512 at most, unless configured otherwise. */
const MAXIMUM_EVENTS = 10_000;

/** One body of this size is read at a time: read, it takes several times as much memory. */
const LARGE_CHARACTERS = 1024 * 1024;
const LARGE_BODIES = {
  perKey: 1,
  inAll: 1,
  patienceMilliseconds: 30_000,
  waitingPerKey: 10,
  waitingInAll: 10,
};

interface PendingCall {
  call: Call;
  event: ReducedEvent;
}

/** Ingests finished calls that LiteLLM's proxy reports. Rules in README.md beside this file. */
@Injectable()
export class LitellmIntakeService {
  private readonly logger = new Logger(LitellmIntakeService.name);

  private readonly largeBodies = new Turns(LARGE_BODIES);

  constructor(
    private readonly charges: LitellmChargesService,
    private readonly quarantine: QuarantineService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * Charges every call of a batch that can be charged and keeps every other one. The same batch again changes nothing.
   *
   * @param body a JSON array, newline-delimited JSON, or one object
   * @throws ServiceError when the body is not JSON at all (400) or has more than 10,000 elements (413)
   */
  async take(body: string): Promise<EventCountsDto> {
    const read = async () => sortOut(await readElements(body), this.config.trustsLitellmEndUser);
    const { ignored, pending, quarantined } = await (body.length < LARGE_CHARACTERS
      ? read()
      : this.largeBodies.run('', read));
    const counts: EventCountsDto = { accepted: 0, duplicates: 0, review: 0, quarantined: 0, ignored };
    const outcomes = await this.charges.charge(pending.map(({ call }) => call));
    outcomes.forEach((outcome, index) => {
      const { call, event } = pending[index] as PendingCall;
      if ('usageId' in outcome) counts[outcome.kind]++;
      else {
        const detail = outcome.kind === 'refused' ? outcome.detail : null;
        const { fingerprint } = call;
        quarantined.push({
          fingerprint,
          claimedUser: claimedUser(event, this.config.trustsLitellmEndUser),
          reason: outcome.kind,
          detail,
          event,
        });
      }
    });
    counts.quarantined = await this.quarantine.keep(quarantined);
    counts.duplicates += quarantined.length - counts.quarantined;
    if (counts.quarantined > 0) this.logger.warn(`${counts.quarantined} LiteLLM events are in quarantine`);
    return counts;
  }
}

/** Which elements are calls, which say nothing to be charged, and which are not understood. */
async function sortOut(elements: unknown[] | undefined, trustsEndUser: boolean) {
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
  const pending: PendingCall[] = [];
  const quarantined: Quarantined[] = [];
  let ignored = 0;
  await withEach(elements, (element) => {
    if (element === null) {
      ignored++;
      return;
    }
    const event = reduceEvent(element);
    const reading = readEvent(event, Date.now());
    if (reading.kind === 'nothing') ignored++;
    else if (reading.kind === 'call') pending.push({ call: reading.call, event });
    else {
      quarantined.push({
        fingerprint: digestOf(element),
        claimedUser: claimedUser(event, trustsEndUser),
        reason: 'not_understood',
        detail: isEvent(element) ? reading.problem : 'must be a JSON object',
        event,
      });
    }
  });
  return { ignored, pending, quarantined };
}

function isEvent(element: unknown): boolean {
  return typeof element === 'object' && !Array.isArray(element) && !(element instanceof MalformedLine);
}
