import { useState } from 'preact/hooks';
import type { Forecast } from '../api/accounts';
import type { Allocation } from '../api/client';
import { date, relative, whole } from '../format';
import { isAdmin } from '../api/session';
import { RevokeAllocation } from './money-forms';
import { Badge, Button, Credits, Empty, Moment } from './ui';
import { Table } from './table';

const DAY = 86_400_000;
const WIDTH = 1000;
const LANE = 26;
const TOP = 4;
const MOST_LANES = 12;
/** An allocation that expires within this many days is marked. */
const SOON_DAYS = 7;

export const isSoon = (allocation: Allocation) =>
  Date.parse(allocation.expiresAt) - Date.now() < SOON_DAYS * DAY;

/** Each allocation from its start to its expiry, filled by the share that remains; a line marks today. */
export function AllocationTimeline({ allocations }: { allocations: Allocation[] }) {
  if (allocations.length === 0) return null;
  const shown = allocations.slice(0, MOST_LANES);
  const now = Date.now();
  const start = Math.min(...shown.map((allocation) => Date.parse(allocation.allocatedAt)), now);
  const end = Math.max(...shown.map((allocation) => Date.parse(allocation.expiresAt)), now + DAY);
  const x = (time: number) => ((time - start) / (end - start)) * WIDTH;
  const height = TOP + shown.length * LANE + 4;
  const summary = shown
    .map(
      (allocation) =>
        `allocation ${allocation.id}: ${whole(allocation.credits)} of ${whole(allocation.totalCredits)} credits, expires ${date(allocation.expiresAt)}`,
    )
    .join('; ');
  return (
    <figure class="timeline">
      {/* Not in the drawing, which would stretch the text. */}
      <span
        class="today-label"
        aria-hidden="true"
        style={{ left: `${Math.min(96, Math.max(4, (x(now) / WIDTH) * 100))}%` }}
      >
        today
      </span>
      <svg
        viewBox={`0 0 ${WIDTH} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Allocations in spending order. ${summary}`}
      >
        {shown.map((allocation, index) => {
          const from = x(Date.parse(allocation.allocatedAt));
          const width = Math.max(4, x(Date.parse(allocation.expiresAt)) - from);
          const y = TOP + index * LANE;
          const share = allocation.totalCredits === 0 ? 0 : allocation.credits / allocation.totalCredits;
          return (
            <g key={allocation.id} class={isSoon(allocation) ? 'allocation soon' : 'allocation'}>
              <title>{`Allocation ${allocation.id}: ${whole(allocation.credits)} of ${whole(allocation.totalCredits)} remaining, expires ${relative(allocation.expiresAt)}`}</title>
              <rect class="allocation-whole" x={from} y={y} width={width} height={LANE - 8} rx={4} />
              <rect
                class="allocation-remaining"
                x={from}
                y={y}
                width={Math.max(share > 0 ? 3 : 0, width * share)}
                height={LANE - 8}
                rx={4}
              />
            </g>
          );
        })}
        <line class="today" x1={x(now)} x2={x(now)} y1={0} y2={height} />
      </svg>
      <figcaption>
        <span>{date(start)}</span>
        <span>{date(end)}</span>
      </figcaption>
    </figure>
  );
}

export function AllocationTable({
  forecast,
  allocations,
  accountId,
}: {
  forecast: Forecast | undefined;
  allocations: Allocation[];
  accountId: string;
}) {
  const [revoking, setRevoking] = useState<Allocation | null>(null);
  return (
    <>
      <Table
        caption="Allocations in spending order"
        rows={allocations}
        keyOf={(allocation) => allocation.id}
        empty={
          <Empty icon="clock" title="No active allocations">
            Allocated credits appear here with their expiry date.
          </Empty>
        }
        columns={[
          { header: 'Allocation', cell: (allocation) => `#${allocation.id}` },
          {
            header: 'Remaining',
            cell: (allocation) => (
              <span class="meter-cell">
                <span class="number">
                  <Credits value={allocation.credits} /> / <Credits value={allocation.totalCredits} />
                </span>
                <meter
                  min={0}
                  max={allocation.totalCredits}
                  value={allocation.credits}
                  aria-label={`Remaining in allocation ${allocation.id}`}
                />
              </span>
            ),
            isNumber: true,
          },
          {
            header: (
              <>
                Unused
                <br />
                at expiry
              </>
            ),
            label: 'Unused at expiry, at the current rate',
            cell: (allocation) => {
              const unused = forecast?.expirations.find(
                ({ allocationId }) => allocationId === allocation.id,
              )?.unusedCredits;
              return unused === undefined ? '–' : <Credits value={unused} />;
            },
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Expires',
            cell: (allocation) =>
              isSoon(allocation) ? (
                <Badge tone="warn">
                  <Moment at={allocation.expiresAt} />
                </Badge>
              ) : (
                <Moment at={allocation.expiresAt} />
              ),
          },
          ...(isAdmin.value
            ? [
                {
                  header: <span class="unseen">Actions</span>,
                  cell: (allocation: Allocation) => (
                    <Button
                      kind="quiet"
                      icon="trash"
                      aria-label={`Revoke allocation ${allocation.id}`}
                      title="Revoke"
                      onClick={() => setRevoking(allocation)}
                    ></Button>
                  ),
                  isNumber: true,
                },
              ]
            : []),
        ]}
      />
      {revoking && (
        <RevokeAllocation
          // What is left of it now, not when the form opened.
          allocation={allocations.find(({ id }) => id === revoking.id) ?? revoking}
          accountId={accountId}
          onClose={() => setRevoking(null)}
        />
      )}
    </>
  );
}
