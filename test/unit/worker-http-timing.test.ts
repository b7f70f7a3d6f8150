/** What takes too long ends the connection; the clock is the test's. */
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type HttpReply, page, serializeReply, unauthorized } from '../../src/core/wire/http-reply.js';
import { type HttpHandler, type HttpRequest, serveHttp } from '../../src/core/worker/http-front.js';

class Handler implements HttpHandler {
  readonly requests: HttpRequest[] = [];
  readonly failures: string[] = [];
  alerts = 0;
  reply: (reply: HttpReply) => void = () => undefined;
  onArrival: () => void = () => undefined;

  onRequest(request: HttpRequest, reply: (reply: HttpReply) => void): void {
    this.requests.push(request);
    this.reply = reply;
    this.onArrival();
  }
  onConnect(request: HttpRequest, _head: Buffer, reply: (reply: HttpReply) => void): void {
    this.onRequest(request, reply);
  }
  onHttpFailure(reason: string): void {
    this.failures.push(reason);
  }
  onAlert(): void {
    this.alerts += 1;
  }
  /** The next complete request. */
  arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.onArrival = resolve;
    });
  }
}

let client: Duplex;
let handler: Handler;
const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const [inside, outside] = duplexPair();
  client = outside;
  handler = new Handler();
  serveHttp(inside, handler);
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets pending stream work happen. */
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const received = () => String(client.read() ?? '');

describe('a request', () => {
  it('may be awaited for ever', async () => {
    await vi.advanceTimersByTimeAsync(200_000);
    expect(handler.failures).toEqual([]);
  });

  it('must arrive within 10 s of its first byte, however the bytes trickle in', async () => {
    for (const byte of 'GET / HTTP') {
      client.write(byte);
      await turn();
      await vi.advanceTimersByTimeAsync(900);
    }
    expect(handler.failures).toEqual([]);
    client.write('/');
    await turn();
    await vi.advanceTimersByTimeAsync(1000);
    expect(handler.failures).toEqual(['a request took too long to arrive']);
    expect(handler.requests).toEqual([]);
  });

  it('must bring its body in that time too', async () => {
    client.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab');
    await turn();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(handler.failures).toEqual(['a request took too long to arrive']);
  });

  it('may be answered later than that', async () => {
    const arrival = handler.arrival();
    client.write(GET);
    await arrival;
    await vi.advanceTimersByTimeAsync(60_000);
    handler.reply(page('text/html', 'x'));
    await turn();
    expect(received()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(handler.failures).toEqual([]);
  });

  it('must not come before the one before is answered', async () => {
    const arrival = handler.arrival();
    client.write(GET);
    await arrival;
    client.write(GET);
    await turn();
    expect(handler.failures).toEqual(['a second request before the first was answered']);
    expect(handler.requests).toHaveLength(1);
  });

  it('gets its own 10 s each time', async () => {
    for (let round = 0; round < 3; round++) {
      const arrival = handler.arrival();
      client.write(GET);
      await arrival;
      handler.reply(page('text/html', 'x'));
      await turn();
      received();
      await vi.advanceTimersByTimeAsync(9000);
    }
    expect(handler.failures).toEqual([]);
  });
});

describe('a reply', () => {
  it('must be read within 10 s', async () => {
    const arrival = handler.arrival();
    client.write(GET);
    await arrival;
    handler.reply(page('text/html', 'x'.repeat(1 << 20)));
    await turn();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(handler.failures).toEqual(['the client does not read the reply']);
  });

  it.each([
    page('text/xml', 'ü'),
    {
      ...page('text/html', ''),
      headers: [
        ['Set-Cookie', 'a'],
        ['Set-Cookie', 'b'],
        ['Content-Length', '0'],
      ],
    } as HttpReply,
  ])('has exactly the bytes of serializeReply', async (reply) => {
    const arrival = handler.arrival();
    client.write(GET);
    await arrival;
    handler.reply(reply);
    await turn();
    expect(received()).toBe(serializeReply(reply).toString());
  });

  it('that ends in an alert is written first', async () => {
    const arrival = handler.arrival();
    client.write(GET);
    await arrival;
    handler.reply(unauthorized('Authentication failed'));
    await turn();
    expect(received()).toBe('HTTP/1.1 401 Authentication failed\r\nContent-Length: 0\r\n\r\n');
    expect(handler.alerts).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(handler.failures).toEqual([]);
  });

  it('to CONNECT that the client does not read ends the connection', async () => {
    const arrival = handler.arrival();
    client.write('CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n');
    await arrival;
    const reply = unauthorized('Cookie is not acceptable');
    handler.reply({ ...reply, headers: [['X-Long', 'x'.repeat(1 << 20)]] });
    await turn();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(handler.failures).toEqual(['the client does not read the reply']);
  });
});
