/**
 * Random choices that a seed repeats exactly. A failing test names its seed; `TEST_SEED=…` runs it again with the same
 * choices.
 */
export class SeededRandom {
  private state: number;

  constructor(readonly seed: number = Number(process.env.TEST_SEED ?? (Date.now() % 2_147_483_647) + 1)) {
    // Mixed, so that neighbouring seeds do not begin alike; the generator stands still at 0.
    this.state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  }

  /** A whole number from `minimum` to `maximum`, both included, at most 2^53 − 1 apart. */
  integer(minimum: number, maximum: number): number {
    return minimum + Math.floor(this.fraction() * (maximum - minimum + 1));
  }

  /** From `minimum` to `maximum`, both included, of any size. */
  big(minimum: bigint, maximum: bigint): bigint {
    let value = 0n;
    for (let bits = 0; bits < (maximum - minimum + 1n).toString(2).length + 32; bits += 32) {
      value = (value << 32n) | BigInt(this.next());
    }
    return minimum + (value % (maximum - minimum + 1n));
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)] as T;
  }

  private fraction(): number {
    return (this.next() * 2 ** 21 + (this.next() >>> 11)) / 2 ** 53;
  }

  /** 32 bits (xorshift). */
  private next(): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    this.state >>>= 0;
    return this.state;
  }
}
