/** Forged messages from a process with a worker's rights to the running main and secmod, while another client has a tunnel. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RawBody } from '../../src/core/ipc/codec.js';
import { encodeFrame } from '../../src/core/ipc/frame.js';
import type { MessageName, MessageSpec } from '../../src/core/ipc/messages.js';
import { IPC_VERSION, messageOf, registry } from '../../src/core/ipc/registry.js';
import { bodyOf } from '../property/ipc-arbitraries.js';
import type { AttackPlan } from '../support/ipc-attacker-peer.ts';
import { TestBed, until } from '../support/main-server.ts';

const attacker = resolve(import.meta.dirname, '../support/ipc-attacker-peer.ts');
const PROBE_CORRELATION = 77_777;
const CORRELATION = 5;
const KIB_PER_MIB = 1024;

let bed: TestBed;
let victim: number;
beforeAll(async () => {
  bed = new TestBed();
  await bed.setUp();
  await bed.serveReady();
  await bed.connect();
  victim = (await bed.ctl('users', {}))[0]?.id ?? 0;
}, 60_000);
afterAll(() => bed.tearDown(), 60_000);

const frame = (name: MessageName, body: RawBody, correlation = CORRELATION): string => {
  const message = messageOf(name);
  return encodeFrame(message, message.spec.reply ? correlation : 0, body).toString('hex');
};
const hello = frame('HELLO', { role: 'worker', version: IPC_VERSION });
const probes = {
  main: frame(
    'WORKER_RESUME',
    fc.sample(bodyOf(messageOf('WORKER_RESUME').spec.body), { numRuns: 1, seed: 1 })[0] as RawBody,
    PROBE_CORRELATION,
  ),
  secmod: frame('SEC_GET_PK', { vhost: 'none' }, PROBE_CORRELATION),
};

/** What became of each case; 'killed' for one that ended the attacker. */
async function attack(role: 'main' | 'secmod', cases: AttackPlan['cases']): Promise<Map<string, string>> {
  const outcomes = new Map<string, string>();
  for (let left = cases; left.length > 0; left = left.slice(1)) {
    const plan: AttackPlan = { path: bed.socket(role), hello, probe: probes[role], cases: left };
    const started = bed.run(process.execPath, [attacker], JSON.stringify(plan));
    await started.exited;
    for (const [, name = '', outcome = ''] of started.output.matchAll(/^(\S+) (closed|answered)$/gm)) {
      outcomes.set(name, outcome);
      left = left.slice(1);
    }
    const [next] = left;
    if (next === undefined) break;
    outcomes.set(next.name, 'killed');
  }
  return outcomes;
}

/** One case per message, naming the client of another worker wherever a client is named. */
function everyMessage(): AttackPlan['cases'] {
  return registry.map((message) => {
    const [body = {}] = fc.sample(bodyOf(message.spec.body), {
      numRuns: 1,
      seed: message.spec.id,
    }) as RawBody[];
    const named = 'client' in body ? { ...body, client: victim } : body;
    return { name: message.name, frame: frame(message.name, named), times: 1 };
  });
}

/** Resident memory, MiB. */
function memoryOf(pid: number): number {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / KIB_PER_MIB;
}

/** What secmod takes from a worker that has begun no login. */
const isQuestionOfWorkers = (name: string, { from, to, isReply, when }: MessageSpec): boolean =>
  name !== 'HELLO' &&
  !isReply &&
  [from].flat().includes('worker') &&
  [to].flat().includes('secmod') &&
  (when?.includes('NONE') ?? true);

const namesOf = (outcomes: Map<string, string>, outcome: string): string[] =>
  [...outcomes].filter(([, found]) => found === outcome).map(([name]) => name);

test('main: only what a worker may say of itself is answered; the client of another is not touched', async () => {
  const before = await bed.ctl('status', {});
  const outcomes = await attack('main', everyMessage());
  // Ready for work that a stranger is never given, and a ticket that nobody sealed.
  expect(namesOf(outcomes, 'answered').sort()).toEqual(['WORKER_READY', 'WORKER_RESUME']);
  expect(outcomes.size).toBe(registry.length);
  const after = await bed.ctl('status', {});
  const guilty = registry.length - 2;
  expect(after.ipcViolations - before.ipcViolations).toBeGreaterThanOrEqual(guilty - 1);
  expect((await bed.ctl('users', {}))[0]).toMatchObject({ id: victim, state: 'connected' });
}, 120_000);

test('secmod: questions of workers are answered, all else ends the connection and is counted', async () => {
  const { secmodPid, ipcViolations } = await bed.ctl('status', {});
  const outcomes = await attack('secmod', everyMessage());
  const legal = registry.filter(({ name, spec }) => isQuestionOfWorkers(name, spec)).map(({ name }) => name);
  expect(legal).toContain('SEC_SIGN_DATA');
  expect(namesOf(outcomes, 'answered').sort()).toEqual(legal.sort());
  expect(namesOf(outcomes, 'closed')).toHaveLength(registry.length - legal.length);
  const counted = await until('all are counted', async () => {
    const status = await bed.ctl('status', {});
    return status.ipcViolations >= ipcViolations + registry.length - legal.length && status;
  });
  expect(counted.secmodPid).toBe(secmodPid);
}, 120_000);

test('lengths that promise much, and questions whose answers nobody reads, cost no memory', async () => {
  const { secmodPid } = await bed.ctl('status', {});
  const before = memoryOf(secmodPid ?? 0);
  const long = Buffer.from(
    frame('SEC_CLI_STATS', { sid: Buffer.alloc(32), bytesIn: 0, bytesOut: 0, discReason: 'error' }),
    'hex',
  );
  long.writeUInt32LE(0xffff_ffff, 1);
  const outcomes = await attack('secmod', [
    { name: 'length', frame: long.toString('hex'), times: 1 },
    { name: 'unread', frame: frame('SEC_GET_PK', { vhost: 'default' }), times: 50_000 },
  ]);
  expect(outcomes.get('length')).toBe('closed');
  expect(outcomes.has('unread')).toBe(true);
  expect(memoryOf(secmodPid ?? 0) - before).toBeLessThan(64);
  expect((await bed.ctl('status', {})).secmodPid).toBe(secmodPid);
  expect(await bed.login()).not.toBe('');
}, 120_000);
