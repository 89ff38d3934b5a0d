import { type ActivityAction, type ActivityEntry, type ActivityFilters, activity } from '../api/activity';
import { usePages } from '../api/hooks';
import { isAdmin } from '../api/session';
import { DownloadCsv } from '../components/download-csv';
import { Select } from '../components/form';
import { Table } from '../components/table';
import {
  AccountLink,
  Badge,
  Button,
  Card,
  CountNote,
  Empty,
  Moment,
  PageHeader,
  type Tone,
} from '../components/ui';
import { useSearch } from '../navigation';
import { FilterField } from './usage';

/** Every action in words; one that is missing here does not compile. */
const ACTIONS: Record<ActivityAction, string> = {
  'credits.allocated': 'Credits allocated',
  'credits.deducted': 'Credits deducted',
  'credits.revoked': 'Allocation revoked',
  'balance.repaired': 'Balance repaired',
  'threshold.set': 'Low threshold set',
  'usage.reviewed': 'Usage reviewed',
  'price.created': 'Price created',
  'price.ended': 'Price ended',
  'price.removed': 'Price removed',
  'prices.imported': 'Prices imported',
  'price_alias.created': 'Alias created',
  'price_alias.deleted': 'Alias deleted',
  'api_key.created': 'API key created',
  'api_key.changed': 'API key changed',
  'api_key.rotated': 'API key rotated',
  'api_key.revoked': 'API key revoked',
  'budget.created': 'Budget created',
  'budget.changed': 'Budget changed',
  'budget.raised': 'Budget raised',
  'budget.deleted': 'Budget deleted',
  'organisation.created': 'Organisation created',
  'organisation.renamed': 'Organisation renamed',
  'organisation.archived': 'Organisation archived',
  'member.added': 'Member added',
  'member.changed': 'Member changed',
  'member.removed': 'Member removed',
  'unit.created': 'Unit created',
  'unit.changed': 'Unit changed',
  'unit.deleted': 'Unit deleted',
  'alert_rule.created': 'Alert rule created',
  'alert_rule.changed': 'Alert rule changed',
  'alert_rule.deleted': 'Alert rule deleted',
  'webhook.created': 'Webhook created',
  'webhook.changed': 'Webhook changed',
  'webhook.secret_rotated': 'Webhook secret rotated',
  'webhook.replayed': 'Webhook replayed',
  'webhook.deleted': 'Webhook deleted',
  'gateway_account.set': 'Gateway account set',
  'gateway_account.deleted': 'Gateway account deleted',
  'quarantine.retried': 'Quarantine retried',
};

const TONES: [end: RegExp, tone: Tone][] = [
  [/(created|added|allocated)$/, 'good'],
  [/(deleted|removed|revoked|deducted|archived|ended)$/, 'warn'],
];

const FILTERS = ['accountId', 'actor', 'action', 'subject', 'from', 'to'] as const;

/** What people and programs changed: for admins everywhere, for others in their own account. */
export function ActivityLog() {
  const { search, setSearch } = useSearch();
  const text = (name: string) => search[name] ?? '';
  const given = FILTERS.filter((name) => text(name) !== '');
  const filters = Object.fromEntries(
    given.map((name) => [name, name === 'from' || name === 'to' ? `${text(name)}T00:00:00Z` : text(name)]),
  ) as ActivityFilters;
  const pages = usePages<ActivityEntry>(['activity', filters], (cursor, signal) =>
    activity(filters, cursor, signal),
  );
  return (
    <>
      <PageHeader
        title="Activity"
        sub={isAdmin.value ? 'What people and programs changed' : 'What was changed in your account'}
      />
      <div class="filters">
        <FilterField label="Account" name="accountId" value={text('accountId')} options={[]} />
        <FilterField label="Changed by" name="actor" value={text('actor')} options={[]} />
        <Select
          label="Action"
          value={text('action')}
          options={[['', 'all'], ...Object.entries(ACTIONS)]}
          onChange={(action) => setSearch({ action })}
          isInline
        />
        <FilterField label="Subject" name="subject" value={text('subject')} options={[]} />
        <DayField label="From" name="from" value={text('from')} />
        <DayField label="Before" name="to" value={text('to')} />
        {given.length > 0 && (
          <Button
            kind="quiet"
            onClick={() => setSearch(Object.fromEntries(given.map((name) => [name, null])))}
          >
            Clear filters
          </Button>
        )}
        <DownloadCsv
          address={`/api/activity?${new URLSearchParams(filters as Record<string, string>).toString()}`}
          fileName="activity.csv"
        />
      </div>
      <Card>
        <Table
          {...pages}
          caption="Changes, newest first"
          keyOf={({ id }) => id}
          empty={
            <Empty icon="clock" title="No changes">
              Changes of credits, prices, keys, budgets, members and settings appear here.
            </Empty>
          }
          columns={[
            { header: 'When', cell: ({ at }) => <Moment at={at} exact /> },
            {
              header: 'Action',
              cell: ({ action }) => (
                <Badge tone={TONES.find(([end]) => end.test(action))?.[1] ?? 'neutral'}>
                  {ACTIONS[action]}
                </Badge>
              ),
            },
            {
              header: 'Subject',
              cell: ({ subject }) => (
                <span class="clip" title={subject}>
                  {subject}
                </span>
              ),
            },
            {
              header: 'Account',
              cell: ({ accountId }) => (accountId === null ? '–' : <AccountLink accountId={accountId} />),
              isWide: true,
            },
            {
              header: 'Changed by',
              cell: ({ actor, actorRole, address }) => (
                <span class="user-cell">
                  <span class="clip" title={actor}>
                    {actor}
                  </span>
                  <span class="hint">{address === null ? actorRole : `${actorRole}, ${address}`}</span>
                </span>
              ),
            },
            { header: 'Change', cell: (entry) => <Change entry={entry} />, isWide: true },
          ]}
        />
        <CountNote count={pages.rows.length} hasMore={pages.hasMore} one="change" />
      </Card>
    </>
  );
}

/** Each field with what it was and what it is. */
function Change({ entry: { before, after } }: { entry: ActivityEntry }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const words = names.map((name) => {
    const [was, is] = [before?.[name], after?.[name]].map(shown);
    if (before === null || !(name in before)) return `${name}: ${is}`;
    return after === null ? `${name}: ${was}` : `${name}: ${was} → ${is}`;
  });
  const text = words.join('\n');
  return (
    <span class="clip" title={text}>
      {words.join(', ') || '–'}
    </span>
  );
}

const shown = (value: unknown): string =>
  value === undefined || value === null ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);

function DayField({ label, name, value }: { label: string; name: string; value: string }) {
  const { setSearch } = useSearch();
  const id = `filter-${name}`;
  return (
    <div class="field inline">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="date"
        value={value}
        onChange={(event) => setSearch({ [name]: event.currentTarget.value })}
      />
    </div>
  );
}
