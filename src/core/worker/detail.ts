/** Texts and counts for CLIENT_CLOSED. */
import type { Body } from '../ipc/messages.js';
import type { TunnelCounters } from '../native/types.js';

const MAX_DETAIL = 256;

export const OUT_OF_DESCRIPTORS = 'the worker is out of descriptors';

/** Cuts to what the message carries, at a character's border. */
export function detailOf(text: string): string {
  return Buffer.from(text)
    .subarray(0, MAX_DETAIL)
    .toString('utf8')
    .replace(/\ufffd$/, '');
}

export type TunnelReport = Pick<
  Body<'CLIENT_CLOSED'>,
  'bytesIn' | 'bytesOut' | 'packetsIn' | 'packetsOut' | 'drops'
>;

/** What main is told of a tunnel's counters. */
export function reportOf(counters: TunnelCounters): TunnelReport {
  return {
    bytesIn: counters.rxBytes,
    bytesOut: counters.txBytes,
    packetsIn: counters.rxPackets,
    packetsOut: counters.txPackets,
    drops: {
      tooBig: counters.dropsTooBig,
      malformed: counters.dropsMalformed,
      source: counters.dropsSource,
      rateLimit: counters.dropsRateLimit,
      streamFull: counters.dropsStreamFull,
      tunFull: counters.dropsTunFull,
      replay: counters.dropsReplay,
    },
  };
}

export const NO_COUNTS: TunnelReport = {
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  drops: { tooBig: 0, malformed: 0, source: 0, rateLimit: 0, streamFull: 0, tunFull: 0, replay: 0 },
};

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
