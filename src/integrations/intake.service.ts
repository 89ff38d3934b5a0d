import { Injectable, Logger } from '@nestjs/common';
import { Turns } from '../common/turns.js';
import { ChargesService, type Outcome } from './charges.service.js';
import { type EventCountsDto, noEvents } from './dto/integrations.responses.js';
import type { Gateway } from './gateway.js';
import { type Quarantined, QuarantineService, type Resolved, waitingFor } from './quarantine.service.js';

/** One body of this size is read at a time: read, it takes several times as much memory. */
const LARGE_BYTES = 1024 * 1024;
const LARGE_BODIES = {
  perKey: 1,
  inAll: 1,
  patienceMilliseconds: 30_000,
  waitingPerKey: 10,
  waitingInAll: 10,
};

/** Ingests finished calls that gateways report. Rules in README.md beside this file. */
@Injectable()
export class IntakeService {
  private readonly logger = new Logger(IntakeService.name);

  private readonly largeBodies = new Turns(LARGE_BODIES);

  constructor(
    private readonly charges: ChargesService,
    private readonly quarantine: QuarantineService,
  ) {}

  /**
   * Charges every call of a batch that can be charged and keeps every other one. The same batch again changes nothing.
   *
   * @throws what `Gateway.readLog` throws
   */
  async take(gateway: Gateway, body: Buffer = Buffer.alloc(0)): Promise<EventCountsDto> {
    const read = () => gateway.readLog(body);
    const reports = await (body.length < LARGE_BYTES ? read() : this.largeBodies.run('', read));
    const calls = reports.flatMap(({ reading }) => (reading.kind === 'call' ? [reading.call] : []));
    const outcomes = await this.charges.charge(gateway, calls);
    const counts = noEvents();
    const quarantined: Quarantined[] = [];
    const charged: Resolved[] = [];
    for (const { reading, ...report } of reports) {
      if (reading.kind === 'nothing') counts.ignored++;
      else if (reading.kind === 'unclear') {
        const claimedAccount = null;
        quarantined.push({ ...report, reason: 'not_understood', detail: reading.problem, claimedAccount });
      } else {
        const outcome = outcomes.get(reading.call) as Outcome;
        if ('usageId' in outcome) {
          counts[outcome.kind]++;
          charged.push({ ...outcome, fingerprint: report.fingerprint });
        } else quarantined.push({ ...report, ...waitingFor(outcome, report.claimedUser) });
      }
    }
    counts.quarantined = await this.quarantine.keep(gateway, quarantined);
    // One that waited under another user's name would be charged again when that user appears.
    await this.quarantine.resolve(charged);
    counts.duplicates += quarantined.length - counts.quarantined;
    if (counts.quarantined > 0)
      this.logger.warn(`${counts.quarantined} events of ${gateway.name} are in quarantine`);
    return counts;
  }
}
