/** ISO 8601 in UTC with milliseconds, whatever form the database gave. */
export function isoTime(time: string | Date): string {
  return (typeof time === 'string' ? new Date(time) : time).toISOString();
}

/** UTC, or an area and a place: names in one word, such as IST, are other zones to PostgreSQL. */
export function timeZoneProblem(timeZone: string): string | undefined {
  try {
    if (timeZone !== 'UTC' && !/^[A-Z]\w+\//.test(timeZone)) throw new RangeError();
    new Intl.DateTimeFormat('en', { timeZone });
    return undefined;
  } catch {
    return 'must be UTC, or the IANA name of a time zone such as Europe/Berlin';
  }
}
