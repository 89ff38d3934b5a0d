import type { UsageStats } from '../api/client';
import { capital, type Names } from '../api/limits';
import { isRest } from '../components/credits-by-model';
import { Table } from '../components/table';
import { Card, Credits } from '../components/ui';
import { pathToUsage } from '../navigation';

interface SpendersProps {
  stats: UsageStats;
  names: Names;
}

/** Which members and units of an organisation spent its credits, with links to their calls. */
export function Spenders({ stats, names }: SpendersProps) {
  const { accountId, byUser, byUnit, truncated } = stats;
  return (
    <div class="grid">
      <SpentBy
        one="member"
        accountId={accountId}
        credits={byUser}
        isTruncated={truncated.includes('byUser')}
        nameOf={(id) => id}
      />
      <SpentBy
        one="unit"
        hint="By the unit of the member at the time, without the units below it"
        accountId={accountId}
        credits={byUnit}
        isTruncated={truncated.includes('byUnit')}
        nameOf={(id) => names.get(`unit ${id}`) ?? `#${id}`}
      />
    </div>
  );
}

interface SpentByProps {
  one: 'member' | 'unit';
  hint?: string;
  accountId: string;
  credits: Record<string, number>;
  isTruncated: boolean;
  nameOf: (id: string) => string;
}

function SpentBy({ one, hint, accountId, credits, isTruncated, nameOf }: SpentByProps) {
  const rows = Object.entries(credits)
    .filter(([, spent]) => spent > 0)
    .sort(([, a], [, b]) => b - a);
  const [largest] = rows;
  if (largest === undefined) return null;
  return (
    <Card title={`Spent by ${one}`} hint={hint} class="half">
      <Table
        caption={`Spent by ${one}`}
        rows={rows}
        keyOf={([id]) => id}
        empty=""
        columns={[
          {
            header: capital(one),
            cell: ([id]) =>
              isRest(id, isTruncated) ? (
                `Other ${one}s`
              ) : (
                <a class="clip" href={pathToUsage(accountId, { [one]: id })}>
                  {nameOf(id)}
                </a>
              ),
          },
          {
            header: 'Credits',
            cell: ([id, spent]) => (
              <span class="meter-cell">
                <Credits value={spent} />
                <meter min={0} max={largest[1]} value={spent} aria-label={`Credits spent by ${nameOf(id)}`} />
              </span>
            ),
            isNumber: true,
          },
        ]}
      />
    </Card>
  );
}
