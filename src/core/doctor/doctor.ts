/** `vpn doctor`: looks at everything that a server needs, before it runs or beside one that does. */

import { join } from 'node:path';
import { configFile } from '../config/find.js';
import { loadDetailed } from '../config/load.js';
import { machineChecks } from '../config/machine-checks.js';
import { callControl } from '../control/client.js';
import { CONTROL_SOCKET } from '../control/command.js';
import { VpnError } from '../errors.js';
import { keyCheck } from '../secmod/key-check.js';
import { methodCheck } from '../secmod/method-check.js';
import { bundling } from './bundling.js';
import { certificates } from './certificates.js';
import { type Check, caught, type Finding, ok, warning } from './finding.js';
import { connections } from './limits.js';
import { clock, mtu, offloads, rights, tun } from './machine.js';
import { dns, forwarding, nat, ports } from './network.js';
import { secrets } from './secrets.js';

export interface DoctorRequest {
  readonly config?: string | undefined;
  readonly dataDir: string;
  readonly runDir: string;
}

const CHECKS: readonly Check[] = [
  rights,
  tun,
  offloads,
  clock,
  mtu,
  bundling,
  ports,
  forwarding,
  nat,
  connections,
  dns,
  certificates,
  secrets,
];

/** All findings, in the order of the checks. A configuration that cannot be read is one, and the end. */
export async function examine(request: DoctorRequest): Promise<Finding[]> {
  const { dataDir, runDir } = request;
  const running = await runningServer(runDir);
  const findings = [
    ok(
      'server',
      running === null
        ? `No server answers in ${runDir}.`
        : `A server runs in ${runDir} (process ${running}).`,
    ),
  ];
  try {
    const { config, notices } = loadDetailed({ file: configFile(request.config), dataDir });
    findings.push(await configuration(config.source, request));
    for (const notice of notices)
      findings.push(
        warning('configuration', `${notice}.`, 'Nothing if that is meant; vpn.conf(5) describes the option.'),
      );
    for (const check of CHECKS) findings.push(...(await check({ config, dataDir, runDir, running })));
  } catch (error) {
    findings.push(caught('configuration', error));
  }
  return findings;
}

/** The files that the configuration names, too; what else is wrong is worth knowing beside a mistake in them. */
async function configuration(
  source: string | null,
  { config: file, dataDir }: DoctorRequest,
): Promise<Finding> {
  try {
    const checks = [...machineChecks(dataDir), keyCheck, await methodCheck(dataDir)];
    loadDetailed({ file: configFile(file), dataDir, checks });
    return ok('configuration', `${source ?? 'The embedded default'} has no mistakes.`);
  } catch (error) {
    return caught('configuration', error);
  }
}

async function runningServer(runDir: string): Promise<number | null> {
  try {
    return (await callControl(join(runDir, CONTROL_SOCKET), 'status', {})).pid;
  } catch (error) {
    if (error instanceof VpnError) return null;
    throw error;
  }
}

const SIGNS = { ok: 'ok     ', hint: 'hint   ', warning: 'warning', error: 'ERROR  ' } as const;

const INDENT = ' '.repeat(23);

/** For people: a line for each finding, and what to do below it. */
export function findingsText(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ level, check, say, mend }) => [
    `${SIGNS[level]}  ${check.padEnd(13)} ${say.replaceAll('\n', `\n${INDENT}`)}`,
    ...(mend === '' ? [] : [`${INDENT} → ${mend}`]),
  ]);
  const counted = (level: 'error' | 'warning'): string => {
    const { length } = findings.filter((finding) => finding.level === level);
    return `${length} ${level}${length === 1 ? '' : 's'}`;
  };
  return [...lines, '', `${counted('error')}, ${counted('warning')}`].join('\n');
}

/** 1 when something will not work. */
export const exitStatus = (findings: readonly Finding[]): number =>
  findings.some(({ level }) => level === 'error') ? 1 : 0;
