/** ISO 8601 in UTC with milliseconds, whatever form the database gave. */
export function isoTime(time: string | Date): string {
  return (typeof time === 'string' ? new Date(time) : time).toISOString();
}
