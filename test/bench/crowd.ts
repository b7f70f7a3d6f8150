/** What the cases with many clients work with. */
import type { Bench } from './traffic.ts';
import type { Meter } from './usage.ts';

export interface CrowdRequest {
  readonly clients: number;
  readonly dtls: boolean;
  /** Number of the client host, 0 if not given. */
  readonly on?: number;
  /** Seconds between two liveness requests of a client over each channel; none if not given. */
  readonly dpd?: number;
  /** Clients that can be made to send echo requests to the host behind the server. */
  readonly active?: number;
}

/** Packets that clients sent since they were connected, and the answers that came. */
export interface Answered {
  readonly sent: number;
  readonly answered: number;
}

/** Clients that are connected. */
export interface OpenCrowd {
  startTraffic(): void;
  /** No more requests are sent; resolves when no answer is missing, or none has come for long. */
  stopTraffic(): Promise<{ echo: Answered; dpd: Answered; ended: number }>;
}

/** A server without a tunnel, for cases that open their own. */
export interface Crowd {
  readonly meter: Meter;
  readonly clients: number;
  readonly seconds: number;
  /** Sessions that the control command of the server lists, and that its status tells. */
  listed(): Promise<number>;
  status(): Promise<number>;
  /** Opens one tunnel more, the stock client's over DTLS; closes it afterwards. */
  beside(measure: (bench: Bench) => Promise<void>): Promise<void>;
  /** Opens that many sessions and calls `held` while they are open; returns the seconds that opening took. */
  open(request: CrowdRequest, held: (crowd: OpenCrowd) => Promise<void>): Promise<number>;
}
