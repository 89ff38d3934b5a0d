import { CoreSchema1795219200000 } from './1795219200000-core-schema.js';
import { KeysAndCharges1795305600000 } from './1795305600000-keys-and-charges.js';
import { Corrections1795392000000 } from './1795392000000-corrections.js';
import { Movements1795478400000 } from './1795478400000-movements.js';
import { UsageTotals1795564800000 } from './1795564800000-usage-totals.js';
import { UsageQuarantine1795305700000 } from './1795305700000-usage-quarantine.js';
import { GatewayKeys1795305800000 } from './1795305800000-gateway-keys.js';
import { Events1795651200000 } from './1795651200000-events.js';
import { EventIndexes1795651300000 } from './1795651300000-event-indexes.js';
import { AccountSearch1795737600000 } from './1795737600000-account-search.js';
import { ChargedCredits1795824000000 } from './1795824000000-charged-credits.js';
import { LookUps1795900000000 } from './1795900000000-look-ups.js';
import { EventEndings1795910400000 } from './1795910400000-event-endings.js';
import { EventEndingIndexes1795910500000 } from './1795910500000-event-ending-indexes.js';
import { UsageBoards1795996800000 } from './1795996800000-usage-boards.js';
import { LotsExpireTogether1796083200000 } from './1796083200000-lots-expire-together.js';
import { KeysByOperations1796169600000 } from './1796169600000-keys-by-operations.js';
import { RepeatedRevocations1796169600100 } from './1796169600100-repeated-revocations.js';
import { OperationsRefuse1796169600200 } from './1796169600200-operations-refuse.js';
import { UsageReviews1796256000000 } from './1796256000000-usage-reviews.js';
import { SessionAgeAndOpenLots1796342400000 } from './1796342400000-session-age-and-open-lots.js';
import { CountedAsOther1796515200000 } from './1796515200000-counted-as-other.js';
import { ColumnDomains1796601600000 } from './1796601600000-column-domains.js';
import { EventStreams1796428800000 } from './1796428800000-event-streams.js';

/** Every migration in its order. An explicit list: globs find nothing under the test runner. */
export const migrations = [
  CoreSchema1795219200000,
  KeysAndCharges1795305600000,
  UsageQuarantine1795305700000,
  GatewayKeys1795305800000,
  Corrections1795392000000,
  Movements1795478400000,
  UsageTotals1795564800000,
  Events1795651200000,
  EventIndexes1795651300000,
  AccountSearch1795737600000,
  ChargedCredits1795824000000,
  LookUps1795900000000,
  EventEndings1795910400000,
  EventEndingIndexes1795910500000,
  UsageBoards1795996800000,
  LotsExpireTogether1796083200000,
  KeysByOperations1796169600000,
  RepeatedRevocations1796169600100,
  OperationsRefuse1796169600200,
  UsageReviews1796256000000,
  SessionAgeAndOpenLots1796342400000,
  EventStreams1796428800000,
  CountedAsOther1796515200000,
  ColumnDomains1796601600000,
];
