import { reportTrouble } from './connection';
import { noAnswer, problemOf } from './problem';
import { credentialsOf, end, endOf, session } from './session';

/**
 * Sends a large text unchanged, and reports how much of it has been sent.
 *
 * @param text JSON; it is never parsed and serialized again, which would round its numbers
 * @param onProgress share that has been sent, 0 to 1
 */
export function upload<Data>(path: string, text: string, onProgress: (share: number) => void): Promise<Data> {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    const asked = session.value;
    request.open('POST', path);
    request.setRequestHeader('Content-Type', 'application/json');
    for (const [name, value] of Object.entries(asked === null ? {} : credentialsOf(asked)))
      request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total === 0 ? 0 : loaded / total);
    request.onerror = () => {
      reportTrouble('unreachable');
      fail(noAnswer());
    };
    request.onload = () => {
      let body: unknown = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // Not JSON: the status has to be enough.
      }
      if (request.status >= 200 && request.status < 300) return done(body as Data);
      if (request.status === 401 && asked !== null && asked === session.value) end(endOf(asked));
      fail(problemOf(request.status, body));
    };
    request.send(text);
  });
}
