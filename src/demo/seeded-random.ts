/** Random choices that a seed repeats exactly. */
export class SeededRandom {
  private state: number;

  constructor(readonly seed: number) {
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

  /** A choice that falls on each as often as its weight says. */
  weighted<T>(choices: readonly (readonly [choice: T, weight: number])[]): T {
    let left = this.fraction() * choices.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [choice, weight] of choices) if ((left -= weight) < 0) return choice;
    return (choices[choices.length - 1] as readonly [T, number])[0];
  }

  /** How often something happens that happens `mean` times on average, each time for itself (Poisson; means below 100). */
  count(mean: number): number {
    const limit = Math.exp(-mean);
    let happened = 0;
    for (let product = this.fraction(); product > limit; product *= this.fraction()) happened++;
    return happened;
  }

  /** Mostly near `middle`, now and then some times as much or as little, as sizes of texts are. */
  around(middle: number): number {
    const bell = this.fraction() + this.fraction() + this.fraction() - 1.5;
    return Math.max(1, Math.round(middle * Math.exp(bell * 1.2)));
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
