/** After which entry a page begins: its time, in whole microseconds since 1970, and its id. */
export interface ActivityPosition {
  readonly microseconds: string;
  readonly id: string;
}

const FORM = /^(\d{1,18})_(\d{1,16})$/;

export function encodeActivityCursor({ microseconds, id }: ActivityPosition): string {
  return Buffer.from(`${microseconds}_${id}`, 'latin1').toString('base64url');
}

/** Undefined for text that is no cursor of ours. */
export function decodeActivityCursor(cursor: string): ActivityPosition | undefined {
  const [, microseconds, id] = FORM.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  // The last microsecond that a time of the database can have is beyond this.
  if (microseconds === undefined || id === undefined || BigInt(microseconds) > 253_402_300_799_000_000n)
    return undefined;
  return { microseconds, id };
}

export const isActivityCursor = (text: string) => decodeActivityCursor(text) !== undefined;
