import { readFileSync } from 'node:fs';

/** A hundredth of a second, whatever the machine's clock is (Linux, USER_HZ). */
const TICK_MICROSECONDS = 10_000;

/**
 * Processor time of a process and of all below it, in microseconds; undefined where /proc does not say it. Unlike
 * requests a second it says the same on a busy machine.
 *
 * @param {number} pid
 * @returns {number | undefined}
 */
export function processorTime(pid) {
  try {
    // The name in brackets may hold anything; user and system time are fields 14 and 15.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const own = (Number(fields[11]) + Number(fields[12])) * TICK_MICROSECONDS;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/);
    return children
      .filter((child) => child !== '')
      .reduce((sum, child) => sum + (processorTime(Number(child)) ?? 0), own);
  } catch {
    return undefined;
  }
}
