/**
 * Connects to a role's socket again and again and sends one forged frame each time. Reads an `AttackPlan` as JSON from
 * standard input, prints a line `NAME closed` or `NAME answered` for each: whether the probe after the frame still got an
 * answer. main kills a worker that breaks the protocol, so this process may end before its list does.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

export interface AttackPlan {
  readonly path: string;
  /** Frames in hexadecimal. */
  readonly hello: string;
  readonly probe: string;
  readonly cases: readonly { readonly name: string; readonly frame: string; readonly times: number }[];
}

const HEADER_BYTES = 9;
const plan = JSON.parse(readFileSync(0, 'utf8')) as AttackPlan;
const probe = Buffer.from(plan.probe, 'hex');
const probeCorrelation = probe.readUInt32LE(5);

/** Correlations of the complete frames in `bytes`. */
function correlations(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; at += HEADER_BYTES + bytes.readUInt32LE(at + 1))
    if (at + HEADER_BYTES + bytes.readUInt32LE(at + 1) <= bytes.length)
      found.push(bytes.readUInt32LE(at + 5));
  return found;
}

function attack({ frame, times }: AttackPlan['cases'][number]): Promise<string> {
  return new Promise((done) => {
    const socket = connect(plan.path);
    let received = Buffer.alloc(0);
    let sent = false;
    socket.on('connect', () => socket.write(Buffer.from(plan.hello, 'hex')));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (!sent) {
        sent = true;
        received = Buffer.alloc(0);
        // A flood is not read, so that its answers pile up at the other end.
        if (times > 1) socket.pause();
        const bytes = Buffer.from(frame, 'hex');
        for (let n = 1; n <= times; n++) {
          if (times > 1) bytes.writeUInt32LE(n, 5);
          socket.write(Buffer.from(bytes));
        }
        socket.write(probe, () => socket.resume());
      } else if (correlations(received).includes(probeCorrelation)) {
        done('answered');
        socket.destroy();
      }
    });
    // EPIPE, when the other end has closed already.
    socket.on('error', () => undefined);
    socket.on('close', () => done('closed'));
  });
}

for (const each of plan.cases) process.stdout.write(`${each.name} ${await attack(each)}\n`);
