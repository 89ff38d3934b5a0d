/**
 * Whole milliseconds since some moment before this process began, by a clock that nobody sets: for every duration, where
 * `Date.now()` would make an hour of a second when the machine's clock is stepped. All processes of a machine share it.
 * It stands still while the machine is suspended.
 */
export function monotonicMilliseconds(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
