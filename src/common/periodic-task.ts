import type { Logger } from '@nestjs/common';

/**
 * Runs a task again and again with a pause between, never twice at once, until stopped. A task that fails is logged and
 * runs again after the pause. The pause is varied by ±20 % so that several instances do not move in step.
 */
export class PeriodicTask {
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();

  constructor(
    private readonly logger: Logger,
    private readonly name: string,
    private readonly intervalSeconds: number,
    private readonly task: (stopped: AbortSignal) => Promise<unknown>,
  ) {}

  /** Starts after the first pause. An interval of 0 means never. */
  start(): void {
    if (this.intervalSeconds === 0 || this.stopping.signal.aborted) return;
    const pause = this.intervalSeconds * 1000 * (0.8 + Math.random() * 0.4);
    this.timer = setTimeout(() => {
      this.running = this.runOnce().finally(() => this.start());
    }, pause);
    this.timer.unref();
  }

  /** Waits for a run in progress, which may end early, then starts no further one. */
  async stop(): Promise<void> {
    this.stopping.abort();
    clearTimeout(this.timer);
    await this.running;
  }

  private async runOnce(): Promise<void> {
    try {
      await this.task(this.stopping.signal);
    } catch (error) {
      this.logger.warn(`${this.name} failed and will run again: ${(error as Error).message}`);
    }
  }
}
