/**
 * Whole milliseconds of a monotonic clock, counted from some moment before this process began. Use it for every duration:
 * `Date.now()` would turn a second into an hour when the machine's clock is stepped. All processes of a machine share it.
 * It stands still while the machine is suspended.
 */
export function monotonicMilliseconds(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
