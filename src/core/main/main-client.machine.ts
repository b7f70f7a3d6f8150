/**
 * States of one client in main's table; the names are ocserv's PS_* values. `when` in ipc/messages.ts refers
 * to them.
 */
export type ClientState = 'INACTIVE' | 'INIT' | 'COMPLETED' | 'FAILED' | 'CLOSED';
export type ClientEvent = 'cookie' | 'opened' | 'resumed' | 'refused' | 'closed';

export interface Row {
  readonly in: ClientState;
  readonly on: ClientEvent;
  readonly to: ClientState;
  readonly story: string;
}

export const START: ClientState = 'INACTIVE';

export const rows: readonly Row[] = [
  { in: 'INACTIVE', on: 'cookie', to: 'INIT', story: 'CONNECT with a cookie: secmod is asked.' },
  { in: 'INIT', on: 'opened', to: 'COMPLETED', story: 'Addresses and tun device are there.' },
  { in: 'INACTIVE', on: 'resumed', to: 'COMPLETED', story: 'A tunnel that outlived an earlier main.' },
  { in: 'INIT', on: 'refused', to: 'FAILED', story: 'No such session, or a limit; FAILED is final.' },
  { in: 'INACTIVE', on: 'closed', to: 'CLOSED', story: 'Gone before a tunnel was asked for.' },
  { in: 'INIT', on: 'closed', to: 'CLOSED', story: 'Gone while the session was being opened.' },
  { in: 'COMPLETED', on: 'closed', to: 'CLOSED', story: 'Tunnel ended.' },
  { in: 'FAILED', on: 'closed', to: 'CLOSED', story: 'Gone after the refusal.' },
];

/** What `show users` prints. */
export const stateText = {
  INACTIVE: 'pre-auth',
  INIT: 'authenticating',
  COMPLETED: 'connected',
  FAILED: 'auth failed',
  CLOSED: 'closed',
} as const satisfies Record<ClientState, string>;

/** The next state; null if the event is not legal here. */
export function step(state: ClientState, event: ClientEvent): ClientState | null {
  return rows.find((row) => row.in === state && row.on === event)?.to ?? null;
}

/** Faults of the table: unreachable states and ambiguous rows. Empty when it is sound. */
export function validate(table: readonly Row[] = rows, start: ClientState = START): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const row of table) {
    const key = `${row.in} on ${row.on}`;
    if (seen.has(key)) faults.push(`${key}: two rows`);
    seen.add(key);
  }
  const reached = new Set<ClientState>([start]);
  for (const state of reached) for (const row of table) if (row.in === state) reached.add(row.to);
  for (const row of table) if (!reached.has(row.in)) faults.push(`${row.in}: unreachable`);
  return faults;
}
