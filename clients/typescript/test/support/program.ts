import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A program of `test/programs` as a process of its own, with the lines that it has printed. */
export class Program {
  readonly lines: string[] = [];
  private readonly child: ChildProcess;
  private readonly ended: Promise<[number | null, NodeJS.Signals | null]>;

  constructor(name: string, settings: object) {
    const file = fileURLToPath(new URL(`../programs/${name}`, import.meta.url));
    this.child = spawn(process.execPath, [file, JSON.stringify(settings)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.ended = once(this.child, 'exit') as typeof this.ended;
    createInterface({ input: this.child.stdout! }).on('line', (line) => this.lines.push(line));
  }

  /** What followed the word in each of its lines. */
  all(word: string): string[] {
    return this.lines
      .filter((line) => line.startsWith(`${word} `))
      .map((line) => line.slice(word.length + 1));
  }

  /** Sends the signal and waits for the end. @returns exit code and signal */
  async end(signal: NodeJS.Signals): Promise<[number | null, NodeJS.Signals | null]> {
    this.child.kill(signal);
    return this.ended;
  }
}
