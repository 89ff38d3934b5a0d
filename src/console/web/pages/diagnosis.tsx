import type { Forecast } from '../api/accounts';
import type { ActiveSession, Balance, LedgerEntry, UsageStats } from '../api/client';
import type { CountedBudget } from '../api/budgets';
import { capital, limitInWords, type Names } from '../api/limits';
import { isSoon } from '../components/allocations';
import { Icon } from '../components/icons';
import type { Tone } from '../components/ui';
import { date, plural, relative, whole } from '../format';
import { pathTo } from '../navigation';
import { isAdmin } from '../api/session';
import { settings } from '../api/development';

interface Facts {
  balance: Balance;
  forecast: Forecast | undefined;
  sessions: ActiveSession[];
  /** Left out where only a part of it is seen. */
  ledger: LedgerEntry[] | undefined;
  /** Of the period of the page. */
  stats: UsageStats | undefined;
  /** Limits that refuse calls now. */
  usedUp: CountedBudget[];
  names: Names;
}

interface Finding {
  tone: Tone;
  text: string;
  /** Where a person can do something about it. */
  to?: [href: string, text: string];
}

const DAY = 86_400_000;
const DEFAULT_LEASE_SECONDS = 900;

/** The problems of an account, the worst first. */
export function findings({ balance, forecast, sessions, ledger, stats, usedUp, names }: Facts): Finding[] {
  const found: Finding[] = [];
  const now = Date.now();
  if (balance.totalCredits === 0) {
    found.push({
      tone: 'bad',
      text: `No credits are available: new calls are refused. ${whyEmpty(ledger, balance)}`.trim(),
    });
  }
  for (const budget of usedUp) {
    found.push({
      tone: 'bad',
      text: `Calls that count for this limit are refused. ${capital(limitInWords(budget, names))}.`,
    });
  }
  if (stats !== undefined && stats.needsReview > 0) {
    found.push({
      tone: 'bad',
      text: `${plural(stats.needsReview, 'call')} of this period could not be paid in full: ${plural(stats.needsReviewCredits, 'credit')} to review.`,
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
      text: `Balance will run out ${relative(runsOutAt)} (${date(runsOutAt)}) at ${plural(Math.round(forecast?.creditsPerDay ?? 0), 'credit')} per day${(forecast?.expiringUnusedCredits ?? 0) > 0 ? ', including credits that expire' : ''}.`,
    });
  }
  const stale = sessions.filter((session) => isStale(session, now));
  if (stale.length > 0) {
    const held = stale.reduce((sum, session) => sum + session.allocatedCredits, 0);
    found.push({
      tone: 'warn',
      text: `${plural(stale.length, 'stale session')} ${stale.length === 1 ? 'holds' : 'hold'} ${plural(held, 'credit')}.`,
    });
  }
  if (balance.heldCredits > balance.totalCredits && balance.heldCredits > 0) {
    found.push({
      tone: 'warn',
      text: `Active sessions hold ${whole(balance.heldCredits)} credits, more than the ${whole(balance.totalCredits)} available. Unused credits are returned when they end.`,
    });
  }
  const unused = forecast?.expiringUnusedCredits ?? 0;
  const soon = balance.activeAllocations.filter(isSoon);
  if (soon.length > 0) {
    const credits = soon.reduce((sum, { credits }) => sum + credits, 0);
    found.push({ tone: 'warn', text: `${plural(credits, 'credit')} will expire within 7 days.` });
  } else if (unused > 0) {
    found.push({
      tone: 'neutral',
      text: `At the current rate, ${plural(unused, 'credit')} will expire unused.`,
    });
  }
  if (found.length === 0) found.push({ tone: 'good', text: 'Nothing needs attention.' });
  return found;
}

/** Where the last credits went, from the latest ledger entries. */
function whyEmpty(ledger: LedgerEntry[] | undefined, { heldCredits }: Balance): string {
  if (heldCredits > 0) return `All remaining credits (${whole(heldCredits)}) are held by active sessions.`;
  if (ledger === undefined) return '';
  const last =
    ledger.find(({ credits, kind }) => credits < 0 && kind !== 'hold') ??
    ledger.find(({ credits }) => credits < 0);
  if (last === undefined) return 'No credits have ever been allocated.';
  const when = relative(last.createdAt);
  if (last.kind === 'expiry') return `The last ${plural(-last.credits, 'credit')} expired unused ${when}.`;
  if (last.kind === 'revocation')
    return `${last.actor} revoked the last ${plural(-last.credits, 'credit')} ${when}.`;
  if (last.kind === 'deduction')
    return `${last.actor} deducted the last ${plural(-last.credits, 'credit')} ${when}.`;
  return `The last credits were used ${when}.`;
}

/** Each sign of life renews a session's lease; a session is stale when a third of its lease has passed without one. */
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
