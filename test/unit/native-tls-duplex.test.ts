/** The stream's side of the contract with TlsConnection; the TLS side has tests of its own. */
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { TlsDuplex, type TlsDuplexHandlers } from '../../src/core/native/tls-duplex.js';
import type { TlsConnection, TlsHandlers, TlsInfo } from '../../src/core/native/tls-types.js';

/** What the addon does with a TlsConnection, without TLS: the test is the client. */
class PlainConnection implements TlsConnection {
  readonly written: Buffer[] = [];
  readonly calls: string[] = [];
  room = Number.POSITIVE_INFINITY;
  handlers!: TlsHandlers;

  write(data: Uint8Array): boolean {
    this.written.push(Buffer.from(data));
    this.room -= data.length;
    return this.room > 0;
  }
  pause = () => void this.calls.push('pause');
  resume = () => void this.calls.push('resume');
  end = () => void this.calls.push('end');
  destroy = () => void this.calls.push('destroy');
  endWithAlert = (alert: number) => void this.calls.push(`alert ${alert}`);
  completeSign = () => {};
  info = () => ({ version: 'TLSv1.3' }) as TlsInfo;
  takeClientHandshake = () => null;
}

function open(handlers: Partial<TlsDuplexHandlers> = {}): { connection: PlainConnection; duplex: TlsDuplex } {
  const connection = new PlainConnection();
  const duplex = new TlsDuplex({ onSign: () => {}, ...handlers }, (tlsHandlers) => {
    connection.handlers = tlsHandlers;
    return connection;
  });
  return { connection, duplex };
}

const turn = () => new Promise(setImmediate);

test('detach() takes the connection out with what nobody has read', async () => {
  let closed = 0;
  const { connection, duplex } = open({ onClose: () => closed++ });
  const first = once(duplex, 'data');
  connection.handlers.onData(Buffer.from('early'));
  expect(String((await first)[0])).toBe('early');
  duplex.pause();
  connection.handlers.onData(Buffer.from('la'));
  connection.handlers.onData(Buffer.from('te'));
  const detached = duplex.detach();
  expect(detached.connection).toBe(connection);
  expect(detached.head.toString()).toBe('late');
  await once(duplex, 'close');
  expect(connection.calls).not.toContain('destroy');
  expect(connection.calls).not.toContain('end');
  expect(closed).toBe(0);
  expect(() => duplex.detach()).toThrow('detached');
});

describe('back-pressure', () => {
  test('a slow reader pauses the connection, reading resumes it', async () => {
    const { connection, duplex } = open();
    const block = Buffer.alloc(duplex.readableHighWaterMark, 1);
    connection.handlers.onData(block);
    expect(connection.calls).toEqual(['pause']);
    expect(block.equals(duplex.read())).toBe(true);
    await turn();
    expect(connection.calls).toEqual(['pause', 'resume']);
  });

  test('a full output buffer holds back the writer until it drains', async () => {
    const { connection, duplex } = open();
    connection.room = 10;
    let written = 0;
    duplex.write(Buffer.alloc(10), () => written++);
    duplex.write(Buffer.alloc(5), () => written++);
    duplex.write(Buffer.alloc(6), () => written++);
    await turn();
    expect([written, connection.written.length]).toEqual([0, 1]);
    connection.room = 100;
    connection.handlers.onDrain();
    await turn();
    // The two that waited leave as one.
    expect([written, connection.written.map(({ length }) => length)]).toEqual([3, [10, 11]]);
  });
});

describe('the end', () => {
  test('of the peer lets the reader finish', async () => {
    const closes: unknown[] = [];
    const { connection, duplex } = open({ onClose: (error, bytesRead) => closes.push([error, bytesRead]) });
    connection.handlers.onData(Buffer.from('last'));
    connection.handlers.onEnd();
    connection.handlers.onClose(null, 4);
    const chunks: Buffer[] = [];
    duplex.on('data', (chunk) => chunks.push(chunk));
    await once(duplex, 'close');
    expect(Buffer.concat(chunks).toString()).toBe('last');
    expect(closes).toEqual([[null, 4]]);
    expect(connection.calls).not.toContain('destroy');
  });

  test('by an error fails the stream and a write that waits', async () => {
    const { connection, duplex } = open();
    connection.room = 0;
    let failure: Error | null | undefined;
    duplex.write('x', (error) => (failure = error));
    const error = once(duplex, 'error');
    connection.handlers.onClose(new Error('reset'), 0);
    expect((await error)[0]).toMatchObject({ message: 'reset' });
    expect(failure?.message).toBe('reset');
  });

  test('by destroy() closes at once, by an alert only after it is sent', async () => {
    const first = open();
    first.duplex.destroy();
    expect(first.connection.calls).toEqual(['destroy']);
    const second = open();
    second.duplex.endWithAlert(49);
    await once(second.duplex, 'close');
    expect(second.connection.calls).toEqual(['alert 49']);
  });
});
