/**
 * Every message in every state of every role, and mutated streams, against a real endpoint. What is legal is computed here
 * from the declarations alone, independently of permissions.ts.
 */
import { openSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChannelOptions } from '../../src/core/ipc/api.js';
import type { RawBody } from '../../src/core/ipc/codec.js';
import { Endpoint } from '../../src/core/ipc/endpoint.js';
import { encodeFrame } from '../../src/core/ipc/frame.js';
import { MemoryTransport } from '../../src/core/ipc/memory-channel.js';
import type { Role } from '../../src/core/ipc/messages.js';
import { type RegisteredMessage, registry } from '../../src/core/ipc/registry.js';
import { openFds, recordingLog } from '../unit/ipc-support.js';
import { bodyOf } from './ipc-arbitraries.js';

/** Who receives from whom, with all states that a client can have in the receiver's table; undefined: unknown there. */
const receivers: { self: Role; peer: Role; states: (string | undefined)[] }[] = [
  { self: 'main', peer: 'worker', states: [undefined, 'INACTIVE', 'INIT', 'COMPLETED', 'FAILED', 'CLOSED'] },
  { self: 'secmod', peer: 'worker', states: ['NONE', 'INIT', 'CONT', 'COMPLETED', 'FAILED'] },
  { self: 'worker', peer: 'main', states: [undefined] },
  { self: 'worker', peer: 'secmod', states: [undefined] },
  { self: 'secmod', peer: 'main', states: [undefined] },
  { self: 'main', peer: 'secmod', states: [undefined] },
];
const credentials = { pid: 1, uid: 0, gid: 0 };

/** A receiver under test, whose handlers only count, and the other end, which sends bytes. */
function receiver({ self, peer }: { self: Role; peer: Role }, state: string | undefined) {
  const [left, right] = MemoryTransport.pair();
  const { log, lines } = recordingLog();
  const handled: string[] = [];
  const handlers = new Proxy(
    {},
    {
      get: (_, name: string) => () => {
        handled.push(name);
        return new Promise(() => {});
      },
    },
  );
  let violation: Error | null = null;
  const options = {
    self,
    peer,
    handlers,
    log,
    stateOf: () => state,
    onClose: (_: unknown, error: Error | null) => {
      violation = error;
    },
  } as unknown as ChannelOptions<'main', 'worker'>;
  const endpoint = new Endpoint<'main', 'worker'>(left, credentials, options, true);
  endpoint.start();
  const settle = async () => {
    for (let turn = 0; turn < 4; turn++) await nextTurn();
  };
  return { endpoint, right, handled, lines, settle, violation: () => violation };
}

function isLegal(
  { spec, name }: RegisteredMessage,
  self: Role,
  peer: Role,
  state: string | undefined,
): boolean {
  const goes = [spec.from].flat().includes(peer) && [spec.to].flat().includes(self);
  // Nothing was asked, so nothing can be answered; and HELLO was said.
  if (!goes || spec.isReply || name === 'HELLO') return false;
  return !spec.when || (state !== undefined && spec.when.includes(state));
}

const fdsFor = (count: number): number[] => Array.from({ length: count }, () => openSync('/dev/null', 'r'));

describe.each(receivers)('$self hears from $peer', ({ self, peer, states }) => {
  test('exactly the legal messages reach a handler; any other closes the peer with one line in the log', async () => {
    for (const message of registry) {
      for (const state of states) {
        const [body = {}] = fc.sample(bodyOf(message.spec.body), {
          numRuns: 1,
          seed: message.spec.id,
        }) as RawBody[];
        const end = receiver({ self, peer }, state);
        end.right.send(encodeFrame(message, message.spec.reply ? 1 : 0, body), fdsFor(message.fds[0]));
        await end.settle();
        const what = `${message.name} while ${state}`;
        const legal = isLegal(message, self, peer, state);
        expect(end.handled, what).toEqual(legal ? [message.name] : []);
        expect(end.endpoint.closed, what).toBe(!legal);
        expect(end.lines.filter(({ level }) => level === 'warn').length, what).toBe(legal ? 0 : 1);
        if (!legal) expect(end.violation(), what).toMatchObject({ code: 'OCS_IPC_VIOLATION' });
        end.endpoint.close();
      }
    }
  });

  test('with a descriptor too many it reaches none, and none stays open', async () => {
    const legal = registry.filter((message) => states.some((state) => isLegal(message, self, peer, state)));
    for (const message of legal) {
      const state = states.find((candidate) => isLegal(message, self, peer, candidate));
      const before = openFds();
      const [body = {}] = fc.sample(bodyOf(message.spec.body), { numRuns: 1, seed: 1 }) as RawBody[];
      const end = receiver({ self, peer }, state);
      end.right.send(encodeFrame(message, message.spec.reply ? 1 : 0, body), fdsFor(message.fds[1] + 1));
      await end.settle();
      expect(end.handled, message.name).toEqual([]);
      expect(end.endpoint.closed, message.name).toBe(true);
      expect(openFds(), message.name).toBe(before);
    }
  });

  test('a stream of changed bytes ends in handlers or in a violation, never in anything else', async () => {
    const anything = registry.map((message) =>
      bodyOf(message.spec.body).map((body) => encodeFrame(message, message.spec.reply ? 1 : 0, body)),
    );
    const change = fc.record({ at: fc.nat(), to: fc.nat(255) });
    const stream = fc.record({
      frames: fc.array(fc.oneof(...anything), { minLength: 1, maxLength: 6 }),
      changes: fc.array(change, { maxLength: 3 }),
      cut: fc.nat(),
      state: fc.constantFrom(...states),
    });
    await fc.assert(
      fc.asyncProperty(stream, async ({ frames, changes, cut, state }) => {
        const bytes = Buffer.concat(frames);
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        const end = receiver({ self, peer }, state);
        const middle = cut % bytes.length;
        end.right.send(Buffer.from(bytes.subarray(0, middle)), []);
        end.right.send(Buffer.from(bytes.subarray(middle)), []);
        await end.settle();
        const errors = end.lines.filter(({ level }) => level === 'error');
        expect(errors).toEqual([]);
        if (end.endpoint.closed) {
          expect(end.violation()).toMatchObject({ code: 'OCS_IPC_VIOLATION' });
          const { cause } = end.violation() as unknown as { cause: { name: string } };
          expect(cause.name).toBe('IpcViolation');
        }
        end.endpoint.close();
      }),
      { numRuns: 150 },
    );
  });
});
