/** A statement that takes longer, because somebody holds a lock or has much, gives its lane to the others. */
const LANE_MILLISECONDS = 250;

/** Statements under way at once, so many at most: what comes while all are in use gathers, and goes together. */
export class Lanes {
  private inUse = 0;

  /** @param whenFree called whenever a lane has become free */
  constructor(
    private readonly count: number,
    private readonly whenFree: () => void,
  ) {}

  get isOneFree(): boolean {
    return this.inUse < this.count;
  }

  /** @param work that never fails: it tells each of its callers */
  use(work: Promise<void>): void {
    this.inUse++;
    let isMine = true;
    const free = () => {
      if (!isMine) return;
      isMine = false;
      this.inUse--;
      this.whenFree();
    };
    const timer = setTimeout(free, LANE_MILLISECONDS);
    void work.finally(() => {
      clearTimeout(timer);
      free();
    });
  }
}
