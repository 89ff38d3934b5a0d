const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** Longest number that is read; prices have up to 23 decimals. A short text such as 1e999999999 could fill the memory. */
const MAXIMUM_LENGTH = 60;
const MAXIMUM_EXPONENT = 60;

/**
 * An exact decimal number: `digits` × 10^-`scale`. Nothing is ever rounded. A library would save the few lines of `times`,
 * `compare` and `toString`, but not the limits on what is read.
 */
export class Decimal {
  private constructor(
    private readonly digits: bigint,
    private readonly scale: number,
  ) {}

  /**
   * Reads a number as JSON writes it, with or without an exponent.
   *
   * @returns undefined for text that is no number, or one of more than 60 characters or beyond 10^±60
   */
  static parse(text: string): Decimal | undefined {
    return text.length <= MAXIMUM_LENGTH ? Decimal.read(text) : undefined;
  }

  /** What `toString` has written, of any length. @throws RangeError for text that is no number */
  static stored(text: string): Decimal {
    const decimal = Decimal.read(text);
    if (decimal === undefined) throw new RangeError('What is stored is not a decimal number');
    return decimal;
  }

  private static read(text: string): Decimal | undefined {
    const match = NUMBER.exec(text);
    if (match === null) return undefined;
    const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
    if (Math.abs(Number(exponent)) > MAXIMUM_EXPONENT) return undefined;
    const digits = BigInt(`${sign}${whole}${fraction}`);
    const scale = fraction.length - Number(exponent);
    return scale >= 0 ? new Decimal(digits, scale) : new Decimal(digits * 10n ** BigInt(-scale), 0);
  }

  /** @throws RangeError for what `parse` does not read */
  static of(value: string | number): Decimal {
    const decimal = Decimal.parse(String(value));
    if (decimal === undefined) throw new RangeError(`${value} is not a decimal number`);
    return decimal;
  }

  times(factor: Decimal): Decimal {
    return new Decimal(this.digits * factor.digits, this.scale + factor.scale);
  }

  /** Negative, zero or positive, as this is less than, equal to or greater than the other. */
  compare(other: Decimal): number {
    const scale = Math.max(this.scale, other.scale);
    const difference = this.digitsAt(scale) - other.digitsAt(scale);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }

  get isZero(): boolean {
    return this.digits === 0n;
  }

  get isNegative(): boolean {
    return this.digits < 0n;
  }

  /** Plain notation without an exponent and without needless zeros: `0.00015`. */
  toString(): string {
    const sign = this.isNegative ? '-' : '';
    const digits = (this.isNegative ? -this.digits : this.digits).toString().padStart(this.scale + 1, '0');
    const whole = digits.slice(0, digits.length - this.scale);
    const fraction = digits.slice(digits.length - this.scale).replace(/0+$/, '');
    return `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}`;
  }

  private digitsAt(scale: number): bigint {
    return this.digits * 10n ** BigInt(scale - this.scale);
  }
}

/** The greatest of some numbers; undefined when there are none. */
export function greatest(decimals: Decimal[]): Decimal | undefined {
  return decimals.reduce<Decimal | undefined>(
    (most, each) => (most === undefined || each.compare(most) > 0 ? each : most),
    undefined,
  );
}
