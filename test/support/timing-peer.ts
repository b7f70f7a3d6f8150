/**
 * Times replies: reads `TimingRequest` from standard input, prints `TimedReply[]`. Each request goes out on a connection
 * of its own whose handshake is over; the requests take turns, in another order each round.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';

export interface TimingRequest {
  readonly host: string;
  readonly port: number;
  /** As they are sent. */
  readonly requests: readonly string[];
  readonly rounds: number;
  /** Rounds before, which are not counted. */
  readonly warmUp: number;
}
export interface TimedReply {
  /** The different replies that came. */
  readonly replies: readonly string[];
  /** From the request to the first byte of its reply, milliseconds. */
  readonly times: readonly number[];
}

const { host, port, requests, rounds, warmUp } = JSON.parse(readFileSync(0, 'utf8')) as TimingRequest;
const seen = requests.map(() => ({ replies: new Set<string>(), times: [] as number[] }));

async function ask(request: string): Promise<{ reply: string; time: number }> {
  const socket = connect({ host, port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  // The server is through with the handshake, too.
  await new Promise((resolve) => setTimeout(resolve, 5));
  const sent = performance.now();
  socket.write(request);
  await once(socket, 'readable');
  const time = performance.now() - sent;
  return { reply: await text(socket), time };
}

for (let round = -warmUp; round < rounds; round++) {
  const order = [...requests.keys()].sort(() => Math.random() - 0.5);
  for (const index of order) {
    const { reply, time } = await ask(requests[index] ?? '');
    seen[index]?.replies.add(reply);
    if (round >= 0) seen[index]?.times.push(time);
  }
}
const told: TimedReply[] = seen.map(({ replies, times }) => ({ replies: [...replies], times }));
console.log(JSON.stringify(told));
