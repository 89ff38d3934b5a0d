// The floor: what a server of this API costs that does nothing but its work. node:http and pg, the token verified with
// a KeyObject, the same SQL by named prepared statements; no validation, no limits, no log. Started by servers.js, which
// sends it what it needs; answers with its port.
import { createSecretKey } from 'node:crypto';
import { createServer } from 'node:http';
import jwt from 'jsonwebtoken';
import pg from 'pg';
import { allSteps } from './scenarios.js';

/** Refusals keep their status; whatever else is not `ok` is wrong here, and fails the bench. */
const STATUS = {
  ok: undefined,
  created: 201,
  repeated: 200,
  insufficient: 402,
  budget_exceeded: 402,
  limit_exceeded: 429,
};
const WRONG = 500;

process.once('message', ({ databaseUrl, poolSize, secret, statements }) => {
  const key = createSecretKey(Buffer.from(secret, 'utf8'));
  const pool = new pg.Pool({ connectionString: databaseUrl, max: poolSize });
  const routes = new Map(
    allSteps().map((step) => [
      `${step.method} ${step.path}`,
      { ...step, text: step.floor.text ?? statements[step.floor.name] },
    ]),
  );

  async function answer(request, response, raw) {
    const { sub } = jwt.verify(request.headers.authorization.slice('Bearer '.length), key, {
      algorithms: ['HS256'],
    });
    const route = routes.get(`${request.method} ${request.url}`);
    const body = raw === '' ? undefined : JSON.parse(raw);
    const values = route.floor.values(sub, body, raw);
    const { rows } = await pool.query({ name: route.floor.name, text: route.text, values });
    const result = rows[0].answer ?? rows[0];
    const status = result.outcome === undefined || result.outcome in STATUS ? STATUS[result.outcome] : WRONG;
    send(response, status ?? route.status, JSON.stringify(result));
  }

  const server = createServer((request, response) => {
    let raw = '';
    request.setEncoding('utf8');
    request.on('data', (chunk) => (raw += chunk));
    request.on('end', () => {
      answer(request, response, raw).catch((error) => send(response, WRONG, JSON.stringify(error.message)));
    });
  });
  server.keepAliveTimeout = 65_000;
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
});
process.on('disconnect', () => process.exit());

function send(response, status, text) {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
