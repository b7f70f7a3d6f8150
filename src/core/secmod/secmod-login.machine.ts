/**
 * The states of one client's login, as a table. Pure: the engine (login-attempt.ts) turns what happens into events and
 * carries out the effects. SEC_AUTH_INIT is legal in NONE and FAILED, SEC_AUTH_CONT in INIT and CONT
 * (`when` in ipc/messages.ts).
 */
export const loginStates = ['NONE', 'INIT', 'CONT', 'COMPLETED', 'FAILED'] as const;
export type LoginState = (typeof loginStates)[number];

export const loginEvents = [
  'begin',
  'answer',
  'prompt',
  'wrong',
  'exhaust',
  'reject',
  'accept',
  'abandon',
] as const;
export type LoginEvent = (typeof loginEvents)[number];

/**
 * insert: the entry is made; ask: reply MSG; fail: reply FAILED; complete: reply OK, the cookie is valid; count:
 * an authentication failure for the statistics; end: the conversation is over; drop: the entry is deleted.
 */
export type LoginEffect = 'insert' | 'ask' | 'fail' | 'complete' | 'count' | 'end' | 'drop';

export interface LoginRow {
  readonly in: readonly LoginState[];
  readonly on: LoginEvent;
  readonly to: LoginState;
  readonly do: readonly LoginEffect[];
  readonly story: string;
}

export const loginTable: readonly LoginRow[] = [
  { in: ['NONE'], on: 'begin', to: 'INIT', do: ['insert'], story: 'origin verified, the back end starts' },
  { in: ['INIT', 'CONT'], on: 'answer', to: 'CONT', do: [], story: 'the back end is checking' },
  { in: ['INIT', 'CONT'], on: 'prompt', to: 'CONT', do: ['ask'], story: 'first prompt or next factor' },
  { in: ['CONT'], on: 'wrong', to: 'CONT', do: ['count', 'ask'], story: 'wrong answer, tries left' },
  {
    in: ['CONT'],
    on: 'exhaust',
    to: 'FAILED',
    do: ['count', 'end', 'fail'],
    story: 'last try, or banned by now',
  },
  {
    in: ['INIT', 'CONT'],
    on: 'reject',
    to: 'FAILED',
    do: ['end', 'fail'],
    story: 'group, deadline or back end: no',
  },
  {
    in: ['INIT', 'CONT'],
    on: 'accept',
    to: 'COMPLETED',
    do: ['end', 'complete'],
    story: 'the SID is the cookie',
  },
  { in: ['INIT', 'CONT'], on: 'abandon', to: 'NONE', do: ['end', 'drop'], story: 'the worker is gone' },
  {
    in: ['FAILED'],
    on: 'abandon',
    to: 'NONE',
    do: ['drop'],
    story: 'the worker is gone, or a new login begins',
  },
  { in: ['NONE', 'COMPLETED'], on: 'abandon', to: 'NONE', do: [], story: 'the cookie outlives its worker' },
];

export interface LoginTransition {
  readonly to: LoginState;
  readonly effects: readonly LoginEffect[];
}

/** The transition for `event` in `state`. Throws if the table has none: a bug of the engine, not of a peer. */
export function stepLogin(state: LoginState, event: LoginEvent): LoginTransition {
  const row = loginTable.find((candidate) => candidate.on === event && candidate.in.includes(state));
  if (!row) throw new Error(`login: ${event} is impossible in ${state}`);
  return { to: row.to, effects: row.do };
}
