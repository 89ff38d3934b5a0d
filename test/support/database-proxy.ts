import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

export interface DatabaseProxy {
  /** The same connection string by way of the proxy. */
  url: string;
  /** Statements by name (or text) that clients have waited for since the last call, each one a round trip. */
  taken(): string[];
  /** Breaks every connection and refuses new ones, as a server that is down. */
  cut(): void;
  /** Passes nothing on any more and says nothing, as a network that swallows packets. */
  silence(): void;
  /** Lets every piece wait before it goes on, in both directions, as a line that is far too slow. */
  delay(milliseconds: number): void;
  /**
   * Of the next statements on connections that are open now, each gets one of these faults for its answer, in the order
   * in which they are sent. Answers how many faults no statement has met.
   */
  spoil(faults: (Fault | undefined)[]): () => number;
  /** Lets new connections through again, at full speed; what was cut stays cut. */
  restore(): void;
  /** New connections go to this server from now on: the same database, come up again on another port. */
  redirect(databaseUrl: string): void;
  close(): Promise<void>;
}

/** What arrives of an answer, piece after piece, a little time between them, and whether the line ends then. */
export type Fault = (answer: Buffer) => { pieces: Buffer[]; isCut?: boolean };

/** What ends a connection is shorter, with TLS and without. */
const SHORTEST_STATEMENT = 60;
const PIECE_MILLISECONDS = 15;

/**
 * Sits between the service and its database, fails on demand, and counts round trips: every Sync and every simple Query of PostgreSQL's
 * protocol is one, whatever the service believes.
 */
export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  let target = new URL(databaseUrl);
  const trips: string[] = [];
  const sockets = new Set<Socket>();
  let mode: 'open' | 'cut' | 'silent' = 'open';
  let delayMilliseconds = 0;
  let faults: (Fault | undefined)[] = [];
  let spoilt = new Set<Socket>();
  const line = () =>
    new Transform({
      transform: (chunk, _encoding, pass) => {
        if (delayMilliseconds === 0) pass(null, chunk);
        else setTimeout(pass, delayMilliseconds, null, chunk);
      },
    });
  const cutAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((client) => {
    if (mode === 'cut') return void client.destroy();
    if (mode === 'silent') return void sockets.add(client.on('error', () => undefined));
    const upstream = connect(Number(target.port), target.hostname);
    const count = tripCounter((statement) => trips.push(statement));
    client.on('data', count);
    let fault: Fault | undefined;
    client.on('data', (chunk: Buffer) => {
      if (spoilt.has(client) && chunk.length >= SHORTEST_STATEMENT) fault = faults.shift();
    });
    const spoiling = new Transform({
      transform: (chunk: Buffer, _encoding, pass) => {
        if (fault === undefined) return pass(null, chunk);
        const { pieces, isCut } = fault(chunk);
        fault = undefined;
        void sendPieces(pieces, (piece) => spoiling.push(piece)).then(() => {
          if (isCut) client.end();
          else pass();
        });
      },
    });
    client.pipe(line()).pipe(upstream).pipe(line()).pipe(spoiling).pipe(client);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.toString(),
    taken: () => trips.splice(0),
    cut: () => {
      mode = 'cut';
      cutAll();
    },
    silence: () => {
      mode = 'silent';
      for (const socket of sockets) socket.unpipe().pause();
    },
    spoil: (next) => {
      faults = [...next];
      spoilt = new Set(sockets);
      return () => faults.length;
    },
    delay: (milliseconds) => (delayMilliseconds = milliseconds),
    restore: () => {
      mode = 'open';
      delayMilliseconds = 0;
      cutAll();
    },
    redirect: (url) => (target = new URL(url)),
    close: async () => {
      cutAll();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function sendPieces(pieces: Buffer[], send: (piece: Buffer) => void): Promise<void> {
  for (const [index, piece] of pieces.entries()) {
    if (index > 0) await pause(PIECE_MILLISECONDS);
    if (piece.length > 0) send(piece);
  }
}

/** Reads the messages of one client: https://www.postgresql.org/docs/current/protocol-message-formats.html */
function tripCounter(onTrip: (statement: string) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let started = false;
  let statement = '';
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      // The start-up message alone has no type byte before its length.
      const header = started ? 5 : 4;
      if (rest.length < header) return;
      const length = rest.readInt32BE(header - 4) + header - 4;
      if (rest.length < length) return;
      const body = rest.subarray(header, length).toString('latin1');
      if (started) {
        const type = String.fromCharCode(rest[0] as number);
        if (type === 'B') statement = body.split('\0')[1] || '(unnamed)';
        if (type === 'Q') onTrip(body.slice(0, -1));
        if (type === 'S') onTrip(statement);
      }
      started = true;
      rest = rest.subarray(length);
    }
  };
}
