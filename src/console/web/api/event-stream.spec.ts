import { describe, expect, it } from 'vitest';
import { eventReader } from './event-stream';

const STREAM =
  'retry: 1000\n\n: alive\n\nid: 7\nevent: credits.low\ndata: {"a":1}\n\nid: 8\r\nevent: x\r\ndata: one\r\ndata: two\r\n\r\n';

describe('the reader of server-sent events', () => {
  it('gives the same events wherever the text was cut', () => {
    const events = [
      { id: '7', type: 'credits.low', data: '{"a":1}' },
      { id: '8', type: 'x', data: 'one\ntwo' },
    ];
    for (let cut = 0; cut <= STREAM.length; cut++) {
      const read = eventReader();
      expect([...read(STREAM.slice(0, cut)), ...read(STREAM.slice(cut))]).toEqual(events);
    }
  });

  it('keeps back an event that has not ended', () => {
    expect(eventReader()('id: 9\ndata: half')).toEqual([]);
  });
});
