/** Beginning or end of a session for utmp(5). */
export interface LoginRecord {
  readonly utmp: string;
  readonly wtmp: string;
  readonly begins: boolean;
  readonly user: string;
  /** Device of the session. */
  readonly line: string;
  /** Address of the client. */
  readonly host: string;
  readonly pid: number;
  /** Since the epoch. */
  readonly seconds: number;
  /** False: only utmp, for a session that wtmp has already. */
  readonly history: boolean;
}
