/** A lot with credits that has not expired. */
export interface OpenLot {
  readonly id: number;
  readonly credits: number;
  /** Milliseconds since 1970, later than now. */
  readonly expiresAt: number;
}

/** How fast credits were spent: so many in so many milliseconds. */
export interface SpendingRate {
  readonly credits: bigint;
  /** Above 0. */
  readonly milliseconds: number;
}

export interface Expiration extends OpenLot {
  /** What is left of it when it expires. */
  readonly unusedCredits: number;
}

export interface Forecast {
  readonly creditsPerDay: number;
  /** Milliseconds since 1970; null: nothing is being spent. */
  readonly runsOutAt: number | null;
  readonly expiringUnusedCredits: number;
  readonly expirations: readonly Expiration[];
}

const DAY_MILLISECONDS = 86_400_000n;
const DECIMALS = 1000;

/**
 * What becomes of the lots when spending goes on evenly. All of it in whole numbers: what a lot gives until its expiry is
 * rounded down, and the instant at which it is empty up, so that nothing is promised that is not there.
 *
 * @param lots in the order in which they are spent: that of their expiry
 * @param now milliseconds since 1970
 */
export function forecast(lots: readonly OpenLot[], rate: SpendingRate, now: number): Forecast {
  const milliseconds = BigInt(rate.milliseconds);
  let at = now;
  let expiringUnusedCredits = 0;
  const expirations = lots.map((lot) => {
    const credits = BigInt(lot.credits);
    // Lots may share an expiry that the one before has reached.
    const affordable = (rate.credits * BigInt(Math.max(0, lot.expiresAt - at))) / milliseconds;
    const used = affordable < credits ? affordable : credits;
    const unusedCredits = Number(credits - used);
    at =
      unusedCredits > 0
        ? Math.max(at, lot.expiresAt)
        : at + Number(divideUp(credits * milliseconds, rate.credits));
    expiringUnusedCredits += unusedCredits;
    return { ...lot, unusedCredits };
  });
  const perDay = (rate.credits * DAY_MILLISECONDS * BigInt(DECIMALS)) / milliseconds;
  return {
    creditsPerDay: Number(perDay) / DECIMALS,
    runsOutAt: rate.credits === 0n ? null : at,
    expiringUnusedCredits,
    expirations,
  };
}

/** @param by above 0 */
function divideUp(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by;
}
