/**
 * A network of namespaces for one test.
 *
 *   client0 ──── wan0          net0 ┌────────┐ srv0         wan0 ┌────────┐ lan0        eth0
 *   10.70.0.2  ─────────  10.70.0.1 │ router │ 10.80.0.1 ─────── │ server │ 10.10.0.1 ────── inner
 *   fd70:0::2              fd70:0::1│("inter-│ fd80::1           │        │ fd10::1          10.10.0.2
 *   client1 ──── wan0          net1 │  net") │         10.80.0.2 │        │                  fd10::2
 *   10.70.1.2  ─────────  10.70.1.1 └────────┘           fd80::2 └────────┘
 *
 * Outside: 10.70.N.0/24 and fd70:N::/64 of client N, 10.80.0.0/24 and fd80::/64 of the server. Inside: 10.10.0.0/24 and
 * fd10::/64 behind the server, 10.99.0.0/24 and fd99::/64 for the tunnels. The router forwards; faults are made there.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { onTestFailed, onTestFinished } from 'vitest';
import { Companion, must, type RunOptions, type RunResult, run } from './process.ts';
import { folderPrefix, namespaceName, removeNamespace } from './sweep.ts';

export const outside = {
  server4: '10.80.0.2',
  server6: 'fd80::2',
  client4: (n: number): string => `10.70.${n}.2`,
  client6: (n: number): string => `fd70:${n}::2`,
};
export const inside = {
  host4: '10.10.0.2',
  host6: 'fd10::2',
  net4: '10.10.0.0/24',
  net6: 'fd10::/64',
  pool4: '10.99.0.0/24',
  pool6: 'fd99::/64',
};

const runId = process.env.OCVPN_TEST_RUN ?? String(process.pid);
let labs = 0;

/** One machine of the network. */
export class Host {
  readonly name: string;
  readonly namespace: string;
  readonly #lab: Lab;

  constructor(lab: Lab, name: string, namespace: string) {
    this.#lab = lab;
    this.name = name;
    this.namespace = namespace;
  }

  #inside(command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespace, ...command];
  }

  /** Runs a command here to its end. */
  run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(this.#inside(command), options);
  }

  /** Runs a command here that must succeed. */
  must(command: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(this.#inside(command), options);
  }

  /** Starts a process here; the lab ends it if the test does not. */
  start(name: string, command: readonly string[], options: Omit<RunOptions, 'timeoutMs'> = {}): Companion {
    return this.#lab.keep(new Companion(`${name}@${this.name}`, this.#inside(command), options));
  }

  /** `ip` commands here, one a line. */
  async ip(...lines: readonly string[]): Promise<void> {
    await must(['ip', '-n', this.namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  /** Sets kernel parameters of this namespace, `name=value` each. */
  async sysctl(...settings: readonly string[]): Promise<void> {
    await this.must(['sysctl', '-qw', ...settings]);
  }

  /** Loads an nftables script. */
  async nft(script: string): Promise<void> {
    await this.must(['nft', '-f', '-'], { input: script });
  }
}

export class Lab {
  readonly folder: string;
  readonly router: Host;
  readonly server: Host;
  readonly inner: Host;
  readonly clients: readonly Host[];
  readonly #hosts: Host[] = [];
  readonly #companions: Companion[] = [];

  constructor(id: string, clients: number) {
    this.folder = mkdtempSync(folderPrefix(runId, id), 'utf8');
    const host = (role: string): Host => {
      const made = new Host(this, role, namespaceName(runId, id, role));
      this.#hosts.push(made);
      return made;
    };
    this.router = host('router');
    this.server = host('server');
    this.inner = host('inner');
    this.clients = Array.from({ length: clients }, (_, n) => host(`client${n}`));
  }

  /** Client number `n`. */
  client(n = 0): Host {
    const found = this.clients[n];
    if (!found) throw new Error(`this lab has ${this.clients.length} clients`);
    return found;
  }

  /** Lets the lab end a process. */
  keep(companion: Companion): Companion {
    this.#companions.push(companion);
    return companion;
  }

  async build(): Promise<void> {
    for (const { namespace } of this.#hosts) await must(['ip', 'netns', 'add', namespace]);
    for (const host of this.#hosts) {
      // No duplicate-address detection: addresses are usable at once.
      await host.sysctl('net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.all.accept_dad=0');
      await host.ip('link set lo up');
    }
    const forwarding = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'];
    await this.router.sysctl(...forwarding);
    await this.server.sysctl(...forwarding);
    await this.#join(
      this.router,
      'srv0',
      '10.80.0.1',
      'fd80::1',
      this.server,
      'wan0',
      '10.80.0.2',
      'fd80::2',
    );
    await this.#join(this.server, 'lan0', '10.10.0.1', 'fd10::1', this.inner, 'eth0', '10.10.0.2', 'fd10::2');
    await this.server.ip('route add default via 10.80.0.1', 'route add default via fd80::1');
    await this.inner.ip('route add default via 10.10.0.1', 'route add default via fd10::1');
    for (const [n, client] of this.clients.entries()) {
      const near4 = outside.client4(n);
      const near6 = outside.client6(n);
      await this.#join(this.router, `net${n}`, `10.70.${n}.1`, `fd70:${n}::1`, client, 'wan0', near4, near6);
      await client.ip(`route add default via 10.70.${n}.1`, `route add default via fd70:${n}::1`);
    }
  }

  /** A veth pair between two hosts with one /24 and one /64. */
  async #join(
    a: Host,
    deviceA: string,
    a4: string,
    a6: string,
    b: Host,
    deviceB: string,
    b4: string,
    b6: string,
  ): Promise<void> {
    const ends = `${deviceA} netns ${a.namespace} type veth peer name ${deviceB} netns ${b.namespace}`;
    await must(['ip', 'link', 'add', ...ends.split(' ')]);
    for (const [host, device, v4, v6] of [
      [a, deviceA, a4, a6],
      [b, deviceB, b4, b6],
    ] as const) {
      const addresses = [`addr add ${v4}/24 dev ${device}`, `addr add ${v6}/64 dev ${device} nodad`];
      await host.ip(`link set ${device} up`, ...addresses);
    }
  }

  /** Records everything on the server's devices when PCAP=1; the file's path is printed. */
  capture(): void {
    if (process.env.PCAP !== '1') return;
    mkdirSync('build/pcap', { recursive: true });
    const file = `build/pcap/${basename(this.folder)}.pcap`;
    console.log(`capture: ${file}`);
    this.server.start('tcpdump', ['tcpdump', '-i', 'any', '-U', '-Z', 'root', '-w', file]);
  }

  /** Output of every process of the lab, for a failure's report. */
  report(): string {
    return this.#companions
      .map(({ name, output, exit }) => `===== ${name} ${exit ? '(ended)' : '(running)'}\n${output}`)
      .join('\n');
  }

  /** Ends every process, removes every namespace and the folder. */
  async close(): Promise<void> {
    await Promise.all(this.#companions.toReversed().map((companion) => companion.stop('SIGTERM', 3_000)));
    for (const { namespace } of this.#hosts) removeNamespace(namespace);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Writes the processes' output to build/interop-logs; returns the file's path. */
function keepLog(lab: Lab, test: string): string {
  mkdirSync('build/interop-logs', { recursive: true });
  const file = `build/interop-logs/${test.replaceAll(/[^\w.-]+/g, '-')}-${process.pid}.log`;
  writeFileSync(file, lab.report());
  return file;
}

/**
 * Builds a lab that lives as long as the current test. The processes' output is kept in build/interop-logs when the
 * test fails, or always with LOGS=1.
 */
export async function openLab({ clients = 1 } = {}): Promise<Lab> {
  labs += 1;
  const lab = new Lab(`${process.pid}.${labs}`, clients);
  onTestFailed(({ task }) => {
    const lines = lab.report().split('\n').slice(-30).join('\n');
    console.error(`output of the processes: ${keepLog(lab, task.name)}; its end:\n${lines}`);
  });
  onTestFinished(async ({ task }) => {
    await lab.close();
    if (process.env.LOGS === '1') keepLog(lab, task.name);
  });
  await lab.build();
  lab.capture();
  return lab;
}
