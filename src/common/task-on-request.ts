import type { Logger } from '@nestjs/common';

/**
 * Runs a task whenever it is requested, but never twice at once: requests that come during a run lead to one more run after
 * it. A task that fails is logged; the next request runs it again.
 */
export class TaskOnRequest {
  private running: Promise<void> | undefined;
  private isRequested = false;
  private readonly stopping = new AbortController();

  constructor(
    private readonly logger: Logger,
    private readonly name: string,
    private readonly task: (stopped: AbortSignal) => Promise<unknown>,
  ) {}

  /** Resolves when the task has run to its end after this request, and nothing more is requested. It never fails. */
  async request(): Promise<void> {
    if (!this.stopping.signal.aborted) {
      this.isRequested = true;
      this.running ??= this.runWhileRequested();
    }
    await this.running;
  }

  /** Waits for a run in progress, which may end early, then starts no further one. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.isRequested = false;
    await this.running;
  }

  private async runWhileRequested(): Promise<void> {
    while (this.isRequested) {
      this.isRequested = false;
      try {
        await this.task(this.stopping.signal);
      } catch (error) {
        this.logger.warn(`${this.name} failed and will run again: ${(error as Error).message}`);
      }
    }
    // In the same turn as the last look at `isRequested`: no request falls between them.
    this.running = undefined;
  }
}
