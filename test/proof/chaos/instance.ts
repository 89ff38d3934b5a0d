import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';

const LINES_KEPT = 30;
const RESTART_PAUSE_MILLISECONDS = 200;
const START_LIMIT_MILLISECONDS = 60_000;

/** One instance of the built service, in a process of its own, with a supervisor that starts it again. */
export class Instance {
  /** Where it listens; changes with every start. */
  url = '';
  /** Faults of the database that the living process has been through. */
  outlived = 0;
  /** Ends that were not asked for: a service must live through every fault of its database. */
  readonly crashes: string[] = [];
  /** Starts that ended by themselves because there was no database at that moment, with what they said. */
  readonly failedStarts: string[] = [];
  /** Errors that the service itself calls internal. */
  readonly internalErrors: string[] = [];
  private process: ChildProcess | undefined;
  private ready = false;
  private asked = false;
  private lines: string[] = [];

  constructor(
    readonly name: string,
    private readonly program: string,
    private readonly env: Record<string, string>,
  ) {}

  /** Whether requests can be sent to it, as a load balancer would know. */
  get alive(): boolean {
    return this.ready;
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  /** Starts it as often as it takes: where the database is not there yet, the service ends and says so. */
  async start(): Promise<void> {
    const deadline = Date.now() + START_LIMIT_MILLISECONDS;
    while (!(await this.startOnce())) {
      this.failedStarts.push(this.lines.join('\n'));
      if (Date.now() > deadline) throw new Error(`${this.name} does not start:\n${this.lines.join('\n')}`);
      await pause(RESTART_PAUSE_MILLISECONDS);
    }
  }

  /** Starts it, and kills it a moment later, whatever it is doing then. */
  async startAndKill(afterMilliseconds: number): Promise<void> {
    const started = this.startOnce();
    await pause(afterMilliseconds);
    await this.kill('SIGKILL');
    await started;
  }

  /** Resolves when the process has gone. */
  async kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { process: child } = this;
    if (child === undefined) return;
    this.asked = true;
    const gone = new Promise<void>((done) => child.once('close', () => done()));
    child.kill(signal);
    await gone;
  }

  /** Whether it has come so far that it listens. */
  private startOnce(): Promise<boolean> {
    const child = spawn(process.execPath, [this.program], {
      env: { PATH: process.env.PATH, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process = child;
    this.asked = false;
    this.outlived = 0;
    this.lines = [];
    return new Promise((done) => {
      const read = (text: string) => {
        this.keep(text);
        const port = /API +http:\/\/localhost:(\d+)\/api/.exec(text)?.[1];
        if (port === undefined || this.ready) return;
        this.url = `http://127.0.0.1:${port}`;
        this.ready = true;
        done(true);
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
      child.once('close', (code, signal) => {
        if (this.ready && !this.asked) {
          this.crashes.push(`${this.name} ended with ${signal ?? code}:\n${this.lines.join('\n')}`);
        }
        this.ready = false;
        this.process = undefined;
        done(false);
      });
    });
  }

  private keep(text: string): void {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    this.internalErrors.push(...lines.filter((line) => line.includes('"code":"internal"')));
    this.lines = [...this.lines, ...lines].slice(-LINES_KEPT);
  }
}
