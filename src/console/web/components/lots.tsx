import { useState } from 'preact/hooks';
import type { Forecast } from '../api/accounts';
import type { Lot } from '../api/client';
import { date, relative, whole } from '../format';
import { isAdmin } from '../api/session';
import { RevokeLot } from './money-forms';
import { Badge, Button, Credits, Empty, Moment } from './ui';
import { Table } from './table';

const DAY = 86_400_000;
const WIDTH = 1000;
const LANE = 26;
const TOP = 4;
const MOST_LANES = 12;
/** A lot that ends within these days deserves a look. */
const SOON_DAYS = 7;

export const isSoon = (lot: Lot) => Date.parse(lot.expiresAt) - Date.now() < SOON_DAYS * DAY;

/** Each lot from its allocation to its expiry: full at first, drawn as full as it is; today is a line through all. */
export function LotTimeline({ lots }: { lots: Lot[] }) {
  if (lots.length === 0) return null;
  const shown = lots.slice(0, MOST_LANES);
  const now = Date.now();
  const start = Math.min(...shown.map((lot) => Date.parse(lot.allocatedAt)), now - DAY);
  const end = Math.max(...shown.map((lot) => Date.parse(lot.expiresAt)), now + DAY);
  const x = (time: number) => ((time - start) / (end - start)) * WIDTH;
  const height = TOP + shown.length * LANE + 4;
  const summary = shown
    .map(
      (lot) =>
        `lot ${lot.id}: ${whole(lot.credits)} of ${whole(lot.totalCredits)} credits until ${date(lot.expiresAt)}`,
    )
    .join('; ');
  return (
    <figure class="timeline">
      {/* Beside the drawing, whose texts would be stretched with it. */}
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
        aria-label={`Lots in the order they are spent. ${summary}`}
      >
        {shown.map((lot, index) => {
          const from = x(Date.parse(lot.allocatedAt));
          const width = Math.max(4, x(Date.parse(lot.expiresAt)) - from);
          const y = TOP + index * LANE;
          const share = lot.totalCredits === 0 ? 0 : lot.credits / lot.totalCredits;
          return (
            <g key={lot.id} class={isSoon(lot) ? 'lot soon' : 'lot'}>
              <title>{`Lot ${lot.id}: ${whole(lot.credits)} left of ${whole(lot.totalCredits)}, expires ${relative(lot.expiresAt)}`}</title>
              <rect class="lot-whole" x={from} y={y} width={width} height={LANE - 8} rx={4} />
              <rect
                class="lot-left"
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

export function LotTable({
  forecast,
  lots,
  userId,
}: {
  forecast: Forecast | undefined;
  lots: Lot[];
  userId: string;
}) {
  const [revoking, setRevoking] = useState<Lot | null>(null);
  return (
    <>
      <Table
        caption="Lots, in the order in which they are spent"
        rows={lots}
        keyOf={(lot) => lot.id}
        empty={
          <Empty icon="clock" title="No lot has credits left">
            Credits that are allocated appear here, with the day they expire.
          </Empty>
        }
        columns={[
          { header: 'Lot', cell: (lot) => `#${lot.id}` },
          {
            header: 'Left',
            cell: (lot) => (
              <span class="meter-cell">
                <Credits value={lot.credits} />
                <meter
                  min={0}
                  max={lot.totalCredits}
                  value={lot.credits}
                  aria-label={`Left of lot ${lot.id}`}
                />
              </span>
            ),
            isNumber: true,
          },
          {
            header: 'Allocated',
            cell: (lot) => <Credits value={lot.totalCredits} />,
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Will expire',
            label: 'Expires unused, at the present pace',
            cell: (lot) => {
              const unused = forecast?.expirations.find(
                ({ allocationId }) => allocationId === lot.id,
              )?.unusedCredits;
              return unused === undefined ? '–' : <Credits value={unused} />;
            },
            isNumber: true,
            isWide: true,
          },
          {
            header: 'Expires',
            cell: (lot) =>
              isSoon(lot) ? (
                <Badge tone="warn">
                  <Moment at={lot.expiresAt} />
                </Badge>
              ) : (
                <Moment at={lot.expiresAt} />
              ),
          },
          ...(isAdmin.value
            ? [
                {
                  header: <span class="unseen">Actions</span>,
                  cell: (lot: Lot) => (
                    <Button
                      kind="quiet"
                      icon="trash"
                      aria-label={`Revoke lot ${lot.id}`}
                      title="Revoke"
                      onClick={() => setRevoking(lot)}
                    ></Button>
                  ),
                  isNumber: true,
                },
              ]
            : []),
        ]}
      />
      {revoking && <RevokeLot lot={revoking} userId={userId} onClose={() => setRevoking(null)} />}
    </>
  );
}
