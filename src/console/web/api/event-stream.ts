/** One event of a stream of server-sent events (HTML standard, 9.2). */
export interface StreamEvent {
  id: string;
  type: string;
  data: string;
}

/** Puts events together out of pieces of text, wherever these were cut. */
export function eventReader(): (piece: string) => StreamEvent[] {
  let rest = '';
  let id = '';
  let type = '';
  let data: string[] = [];
  const readLine = (line: string): StreamEvent | undefined => {
    if (line === '') {
      const event =
        data.length === 0 ? undefined : { id, type: type === '' ? 'message' : type, data: data.join('\n') };
      type = '';
      data = [];
      return event;
    }
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'id') id = value;
    else if (name === 'event') type = value;
    else if (name === 'data') data.push(value);
    return undefined;
  };
  return (piece) => {
    const text = rest + piece;
    // A carriage return at the end may be half of a line's end.
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    rest = (lines.pop() as string) + text.slice(end);
    return lines.map(readLine).filter((event) => event !== undefined);
  };
}
