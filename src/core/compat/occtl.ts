/** `occtl` with the flags, phrases and exit statuses of ocserv's. */
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { callControl } from '../control/client.js';
import { type CtlFlags, isNotFound, reportErrors, runCtl, said, socketOf } from '../control/command.js';
import { runEvents } from '../control/events-command.js';
import { parseLine, runShell } from '../control/shell.js';
import type { VerbArgs } from '../control/verbs.js';
import * as views from '../control/views.js';
import { readOptions, versionText } from './options.js';

const USAGE = `usage: occtl [-s SOCKET] [-j] [-n] [--debug] [-v] [-h] [COMMAND]
  -s, --socket-file FILE  control socket, default /var/run/occtl.socket
  -j, --json              print JSON
  -n, --no-pager          do not page
  --debug                 print more
  -v, --version
  -h, --help
Without a command: an interactive shell.
Commands:
`;
const SOCKETS = ['/var/run/occtl.socket', '/run/vpn/ctl.sock'];

const { values, positionals } = readOptions(
  {
    'socket-file': { type: 'string', short: 's' },
    json: { type: 'boolean', short: 'j', default: false },
    'no-pager': { type: 'boolean', short: 'n', default: false },
    debug: { type: 'boolean' },
    version: { type: 'boolean', short: 'v' },
    help: { type: 'boolean', short: 'h' },
  } as const,
  USAGE,
);

const flags: CtlFlags = {
  'run-dir': '/run/vpn',
  'socket-file': values['socket-file'] ?? SOCKETS.find((path) => existsSync(path)) ?? SOCKETS[0],
  json: false,
  'occtl-json': values.json,
  'no-pager': values['no-pager'],
};

interface Phrase {
  readonly help: string;
  /** Name of the argument that it needs. */
  readonly takes?: string;
  readonly run: (argument: string) => Promise<void>;
}

/** What is not there is empty JSON, or this. */
const noUser = { absent: { text: 'user or ID not found', status: 2 } } as const;
const noSession = { absent: { text: 'Session ID not found or expired', status: 0 } } as const;

const done = <R>(sentence: string) => said<R>(() => sentence);

type EndingVerb =
  | 'disconnect-user'
  | 'disconnect-id'
  | 'terminate-user'
  | 'terminate-id'
  | 'terminate-session';

/** Ends something; what is not there is a failure with status 1 here, and with 2 where it is only shown. */
async function end<N extends EndingVerb>(verb: N, args: VerbArgs<N>, what: string): Promise<void> {
  const terminates = verb.startsWith('terminate');
  await reportErrors(flags, async () => {
    try {
      await callControl(socketOf(flags), verb, args);
      const suffix = terminates ? 'terminated (session invalidated)' : 'disconnected';
      process.stdout.write(`${what} was ${suffix}\n`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      refuse(`could not ${terminates ? 'terminate' : 'disconnect'} ${what.replace('connection ', '')}`);
    }
  });
}

const phrases: Readonly<Record<string, Phrase>> = {
  'show status': { help: 'status of the server', run: () => runCtl('status', {}, flags, views.statusView) },
  'show users': { help: 'connected users', run: () => runCtl('users', {}, flags, views.usersView) },
  'show user': {
    help: 'sessions of a user',
    takes: 'NAME',
    run: (name) => runCtl('user', { name }, flags, { ...views.userView, ...noUser }),
  },
  'show id': {
    help: 'one connection',
    takes: 'ID',
    run: (id) => runCtl('id', { id: Number(id) }, flags, { ...views.userView, ...noUser }),
  },
  'show sessions all': {
    help: 'all sessions',
    run: () => runCtl('sessions', {}, flags, views.allSessionsView),
  },
  'show sessions valid': {
    help: 'sessions whose cookie is good',
    run: () => runCtl('sessions', {}, flags, views.validSessionsView),
  },
  'show cookies all': {
    help: 'as show sessions all',
    run: () => runCtl('sessions', {}, flags, views.allSessionsView),
  },
  'show cookies valid': {
    help: 'as show sessions valid',
    run: () => runCtl('sessions', {}, flags, views.validSessionsView),
  },
  'show session': {
    help: 'one session',
    takes: 'SID',
    run: (id) => runCtl('session', { id }, flags, { ...views.sessionView, ...noSession }),
  },
  'show iroutes': {
    help: 'networks behind clients',
    run: () => runCtl('users', {}, flags, views.iroutesView),
  },
  'show ip bans': { help: 'banned addresses', run: () => runCtl('bans', {}, flags, views.bansView) },
  'show ip ban points': {
    help: 'addresses with points',
    run: () => runCtl('bans', {}, flags, views.pointsView),
  },
  'show events': {
    help: 'sessions that begin and end',
    run: () => runEvents(flags, values.json ? 'occtl' : 'text'),
  },
  'disconnect user': {
    help: 'end the connections of a user',
    takes: 'NAME',
    run: (name) => end('disconnect-user', { name }, `user '${name}'`),
  },
  'disconnect id': {
    help: 'end a connection',
    takes: 'ID',
    run: (id) => end('disconnect-id', { id: Number(id) }, `connection ID '${id}'`),
  },
  'terminate user': {
    help: 'invalidate the sessions of a user',
    takes: 'NAME',
    run: (name) => end('terminate-user', { name }, `user '${name}'`),
  },
  'terminate id': {
    help: 'invalidate the session of a connection',
    takes: 'ID',
    run: (id) => end('terminate-id', { id: Number(id) }, `connection ID '${id}'`),
  },
  'terminate session': {
    help: 'invalidate a session',
    takes: 'SID',
    run: (id) => end('terminate-session', { id }, `session '${id}'`),
  },
  'unban ip': { help: 'forget the points of an address', takes: 'IP', run: unban },
  reload: {
    help: 'read the configuration again',
    run: () => runCtl('reload', {}, flags, done('Server scheduled to reload')),
  },
  'stop now': {
    help: 'end the server',
    run: () => runCtl('stop', {}, flags, done('Server scheduled to stop')),
  },
};

process.exitCode = 0;
await main();

async function main(): Promise<void> {
  if (values.version || values.help) {
    process.stdout.write(values.version ? versionText('occtl') : USAGE);
    if (values.help)
      for (const [name, text] of helpTexts()) process.stdout.write(`  ${name.padEnd(20)}  ${text}\n`);
  } else if (positionals.length > 0) {
    const parsed = parseLine(positionals.join(' '), Object.keys(phrases));
    if (parsed) await runPhrase(parsed.phrase, parsed.args);
    else fail(`unknown command: ${positionals.join(' ')}`);
  } else {
    await runShell({ phrases: new Map(helpTexts()), run: runPhrase });
  }
}

function helpTexts(): [string, string][] {
  return Object.entries(phrases).map(([name, { takes = '', help }]) => [name, `${takes} ${help}`.trim()]);
}

async function runPhrase(name: string, args: readonly string[]): Promise<void> {
  const phrase = phrases[name];
  const argument = args.join(' ');
  if (phrase === undefined) return;
  if (phrase.takes !== undefined && argument === '') fail(`${name} needs an argument: ${phrase.takes}`);
  else if (phrase.takes === undefined && argument !== '') fail(`${name} takes no argument`);
  else if (phrase.takes === 'ID' && !/^\d{1,15}$/.test(argument)) fail(`${argument} is no ID`);
  else if (phrase.takes === 'IP' && isIP(argument) === 0) fail(`cannot parse IP: ${argument}`);
  else await phrase.run(argument);
}

function fail(message: string): void {
  process.stderr.write(`occtl: ${message}\n`);
  process.exitCode = 1;
}

/** What occtl says on its standard output. */
function refuse(message: string): void {
  process.stdout.write(`${message}\n`);
  process.exitCode = 1;
}

/** occtl's status is 1 when the address had no points. */
async function unban(ip: string): Promise<void> {
  await reportErrors(flags, async () => {
    const { unbanned } = await callControl(socketOf(flags), 'unban-ip', { ip });
    if (unbanned) process.stdout.write(`IP '${ip}' was unbanned\n`);
    else refuse(`could not unban IP '${ip}'`);
  });
}
