/**
 * A client's way from the first request to the tunnel, as a table; names of the states are ocserv's S_AUTH_*.
 *
 * HTTP requests of one connection never overlap, so in INIT, and in REQ after a password, only the back end can
 * speak next. `FAILED` is final: the connection is closed, the client starts again on a new one.
 */
export const states = ['INACTIVE', 'INIT', 'REQ', 'COOKIE', 'COMPLETE', 'FAILED'] as const;
export type AuthState = (typeof states)[number];

export const events = [
  'form', // GET, or POST without credentials
  'login', // POST with a user name, or with a certificate that has one: a new login
  'password', // POST with the password of the login in progress
  'other-login', // POST with a user name while a login is in progress or done
  'prompt', // back end: one more password, which the client has not sent yet
  'prompt-at-hand', // back end: a password, and it came with the user name
  'granted', // back end: logged in
  'denied', // back end: no, finally
  'connect', // CONNECT with a well-formed cookie
  'connect-without-cookie',
  'connect-without-certificate', // where nobody logs in without one
  'session', // main: the session is open
  'no-session', // main: the cookie is not acceptable
  'failure', // another process did not answer
  'timeout', // auth-timeout
] as const;
export type AuthEvent = (typeof events)[number];

export const actions = [
  'send-form',
  'send-password-form',
  'send-success',
  'auth-init',
  'auth-cont',
  'open-session',
  'open-tunnel',
  'deny',
  'deny-cookie',
  'unavailable',
  'internal-error',
  'drop',
] as const;
export type AuthAction = (typeof actions)[number];

export interface Row {
  readonly in: AuthState;
  readonly on: AuthEvent;
  readonly to: AuthState;
  readonly do: AuthAction;
  readonly story: string;
}

export const START: AuthState = 'INACTIVE';
/** No row leaves these. */
export const FINAL: readonly AuthState[] = ['COMPLETE', 'FAILED'];

const before: readonly AuthState[] = ['INACTIVE', 'REQ', 'COOKIE'];
const unfinished: readonly AuthState[] = ['INACTIVE', 'INIT', 'REQ', 'COOKIE'];
/** The same row in several states. */
const inEach = (from: readonly AuthState[], row: Omit<Row, 'in'>): Row[] =>
  from.map((state) => ({ in: state, ...row }));

export const rows: readonly Row[] = [
  { in: 'INACTIVE', on: 'form', to: 'INACTIVE', do: 'send-form', story: 'The client asks how to log in.' },
  {
    in: 'REQ',
    on: 'form',
    to: 'REQ',
    do: 'send-form',
    story: 'It starts over with the form; the login goes on.',
  },
  { in: 'COOKIE', on: 'form', to: 'COOKIE', do: 'send-form', story: 'It looks at the form once more.' },
  {
    in: 'INACTIVE',
    on: 'login',
    to: 'INIT',
    do: 'auth-init',
    story: 'Who it is is known: secmod starts a login.',
  },
  {
    in: 'INIT',
    on: 'prompt-at-hand',
    to: 'REQ',
    do: 'auth-cont',
    story: 'The password came with the user name.',
  },
  ...inEach(['INIT', 'REQ'], {
    on: 'prompt',
    to: 'REQ',
    do: 'send-password-form',
    story: 'Another round: first password, wrong password, one-time password.',
  }),
  { in: 'REQ', on: 'password', to: 'REQ', do: 'auth-cont', story: 'The next password of the login.' },
  ...inEach(['INIT', 'REQ'], {
    on: 'granted',
    to: 'COOKIE',
    do: 'send-success',
    story: 'The SID is the cookie.',
  }),
  ...inEach(['INIT', 'REQ'], { on: 'denied', to: 'FAILED', do: 'deny', story: 'No tries left, or locked.' }),
  ...inEach(['REQ', 'COOKIE'], {
    on: 'other-login',
    to: 'FAILED',
    do: 'deny',
    story: 'secmod keeps one login per connection; another user needs a new one.',
  }),
  { in: 'COOKIE', on: 'password', to: 'FAILED', do: 'deny', story: 'A password after the login is over.' },
  ...inEach(before, {
    on: 'connect',
    to: 'COOKIE',
    do: 'open-session',
    story: 'The cookie may be from another connection.',
  }),
  ...inEach(before, {
    on: 'connect-without-cookie',
    to: 'FAILED',
    do: 'unavailable',
    story: 'Nothing to open.',
  }),
  ...inEach(before, {
    on: 'connect-without-certificate',
    to: 'FAILED',
    do: 'unavailable',
    story: 'A cookie alone does not open a tunnel there.',
  }),
  {
    in: 'COOKIE',
    on: 'session',
    to: 'COMPLETE',
    do: 'open-tunnel',
    story: 'Addresses and tun device are there.',
  },
  {
    in: 'COOKIE',
    on: 'no-session',
    to: 'FAILED',
    do: 'deny-cookie',
    story: 'Unknown, expired, or over a limit.',
  },
  ...inEach(['INIT', 'REQ', 'COOKIE'], {
    on: 'failure',
    to: 'FAILED',
    do: 'internal-error',
    story: 'secmod or main is gone or does not answer.',
  }),
  ...inEach(unfinished, { on: 'timeout', to: 'FAILED', do: 'drop', story: 'auth-timeout passed.' }),
];

/** The row for an event; null: the event is not legal in this state. Pure. */
export function step(state: AuthState, event: AuthEvent): Row | null {
  return rows.find((row) => row.in === state && row.on === event) ?? null;
}

/** Faults of the table, none when it is sound: ambiguous rows, unreachable states, exits from final states, unused names. */
export function validate(table: readonly Row[] = rows): string[] {
  const keys = table.map((row) => `${row.in} on ${row.on}`);
  const reached = new Set<AuthState>([START]);
  for (const state of reached) for (const row of table) if (row.in === state) reached.add(row.to);
  return [
    ...keys.filter((key, index) => keys.indexOf(key) !== index).map((key) => `${key}: two rows`),
    ...states.filter((state) => !reached.has(state)).map((state) => `${state}: unreachable`),
    ...table
      .filter((row) => FINAL.includes(row.in))
      .map((row) => `${row.in} on ${row.on}: leaves a final state`),
    ...states
      .filter(
        (state) => !FINAL.includes(state) && !table.some((row) => row.in === state && row.on === 'timeout'),
      )
      .map((state) => `${state}: cannot time out`),
    ...events
      .filter((event) => !table.some((row) => row.on === event))
      .map((event) => `${event}: never handled`),
    ...actions
      .filter((action) => !table.some((row) => row.do === action))
      .map((action) => `${action}: never done`),
  ];
}
