import type { Forecast } from '../api/accounts';
import type { ActiveSession, Balance, LedgerEntry, UsageRecord } from '../api/client';
import { isSoon } from '../components/lots';
import { Icon } from '../components/icons';
import type { Tone } from '../components/ui';
import { date, plural, relative, whole } from '../format';
import { pathTo } from '../navigation';
import { isAdmin } from '../api/session';
import { settings } from '../api/development';

interface Facts {
  balance: Balance;
  forecast: Forecast | undefined;
  sessions: ActiveSession[] | undefined;
  ledger: LedgerEntry[];
  usage: UsageRecord[];
}

interface Finding {
  tone: Tone;
  text: string;
  /** Where something can be done about it. */
  to?: [href: string, text: string];
}

const DAY = 86_400_000;
const DEFAULT_LEASE_SECONDS = 900;

/** What a person would want to be told first about an account, the worst first. */
export function findings({ balance, forecast, sessions = [], ledger, usage }: Facts): Finding[] {
  const found: Finding[] = [];
  const now = Date.now();
  if (balance.totalCredits === 0) {
    found.push({
      tone: 'bad',
      text: `No credits are available: new calls are refused. ${whyEmpty(ledger, balance)}`.trim(),
    });
  }
  const waiting = usage.filter(({ billingStatus }) => billingStatus === 'needs_review');
  if (waiting.length > 0) {
    const uncollected = waiting.reduce((sum, record) => sum + record.uncollectedCredits, 0);
    found.push({
      tone: 'bad',
      text: `${whole(waiting.length)} of the last ${plural(usage.length, 'call')} could not be paid in full: ${plural(uncollected, 'credit')} wait for a review.`,
      ...(isAdmin.value
        ? {
            to: [`${pathTo('review')}?search=${encodeURIComponent(balance.userId)}`, 'Review'] as [
              string,
              string,
            ],
          }
        : {}),
    });
  }
  const runsOutAt = forecast?.runsOutAt;
  if (balance.totalCredits > 0 && typeof runsOutAt === 'string' && Date.parse(runsOutAt) - now < 14 * DAY) {
    found.push({
      tone: Date.parse(runsOutAt) - now < 3 * DAY ? 'bad' : 'warn',
      text: `The balance is gone ${relative(runsOutAt)} (${date(runsOutAt)}), at ${plural(Math.round(forecast?.creditsPerDay ?? 0), 'credit')} a day${(forecast?.expiringUnusedCredits ?? 0) > 0 ? ' and with what expires before' : ''}.`,
    });
  }
  const stale = sessions.filter((session) => isStale(session, now));
  if (stale.length > 0) {
    const held = stale.reduce((sum, session) => sum + session.allocatedCredits, 0);
    found.push({
      tone: 'warn',
      text: `${plural(stale.length, 'session')} without a sign of life ${stale.length === 1 ? 'holds' : 'hold'} ${plural(held, 'credit')}.`,
    });
  }
  if (balance.heldCredits > balance.totalCredits && balance.heldCredits > 0) {
    found.push({
      tone: 'warn',
      text: `Running sessions hold ${whole(balance.heldCredits)} credits, more than the ${whole(balance.totalCredits)} that are left. What they do not use comes back when they end.`,
    });
  }
  const unused = forecast?.expiringUnusedCredits ?? 0;
  const soon = balance.activeAllocations.filter(isSoon);
  if (soon.length > 0) {
    const credits = soon.reduce((sum, lot) => sum + lot.credits, 0);
    found.push({ tone: 'warn', text: `${plural(credits, 'credit')} expire within 7 days.` });
  } else if (unused > 0) {
    found.push({ tone: 'neutral', text: `At this pace, ${plural(unused, 'credit')} will expire unused.` });
  }
  if (found.length === 0) found.push({ tone: 'good', text: 'Nothing needs attention.' });
  return found;
}

/** The last entries say where the credits went. */
function whyEmpty(ledger: LedgerEntry[], { heldCredits }: Balance): string {
  if (heldCredits > 0) return `All that is left (${whole(heldCredits)}) is held by running sessions.`;
  const last =
    ledger.find(({ credits, kind }) => credits < 0 && kind !== 'hold') ??
    ledger.find(({ credits }) => credits < 0);
  if (last === undefined) return 'None were ever allocated.';
  const when = relative(last.createdAt);
  if (last.kind === 'expiry')
    return `The last ${plural(-last.credits, 'credit')} expired ${when} without being used.`;
  if (last.kind === 'revocation')
    return `The last ${plural(-last.credits, 'credit')} were revoked ${when} by ${last.actor}.`;
  if (last.kind === 'deduction')
    return `The last ${plural(-last.credits, 'credit')} were deducted ${when} by ${last.actor}.`;
  return `They were used up ${when}.`;
}

/** A session renews its lease as long as its client lives: one that has used up a third of it was not heard of for long. */
export function isStale({ expiresAt }: ActiveSession, now: number): boolean {
  const leaseSeconds = settings.value?.sessionLeaseSeconds ?? DEFAULT_LEASE_SECONDS;
  return Date.parse(expiresAt) - now < (leaseSeconds * 1000 * 2) / 3;
}

export function Diagnosis(facts: Facts) {
  return (
    <ul class="findings" aria-label="What needs attention">
      {findings(facts).map(({ tone, text, to }) => (
        <li key={text} class={tone}>
          <Icon name={tone === 'good' ? 'check' : tone === 'neutral' ? 'clock' : 'warning'} />
          <span>{text}</span>
          {to && <a href={to[0]}>{to[1]}</a>}
        </li>
      ))}
    </ul>
  );
}
