import type { ValueTransformer } from 'typeorm';
import { SumTooLarge } from '../errors/service-error.js';

const reading = <Value>(read: (value: string) => Value): ValueTransformer => ({
  to: (value: unknown) => value,
  from: (value: string | null) => (value === null ? null : read(value)),
});

/** BIGINT arrives as a string; credits and ids are safe integers here, and the database's CHECKs keep them so. */
export const BIGINT = { type: 'bigint', transformer: reading(toSafeInteger) } as const;

/** NUMERIC stays a decimal string, without the trailing zeros of its column. */
export const DECIMAL = { type: 'numeric', transformer: reading(trimDecimal) } as const;

/** @throws RangeError when the value is not exact as a JSON number */
export function toSafeInteger(value: string | number): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${value} is not a safe integer`);
  return number;
}

/** A sum over rows of which each is a safe integer. @throws SumTooLarge rather than round it */
export function exactSum(value: string): number {
  if (!Number.isSafeInteger(Number(value))) throw new SumTooLarge();
  return Number(value);
}

/** `3.000000` → `3`, `0.2500` → `0.25`. */
export function trimDecimal(value: string): string {
  return value.includes('.') ? value.replace(/\.?0+$/, '') : value;
}
