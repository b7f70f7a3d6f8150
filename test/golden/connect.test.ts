/** Recorded CONNECT requests: our reply must have the recorded headers, in the recorded order, byte for byte. */
import { describe, expect, it } from 'vitest';
import { planTunnel } from '../../src/core/session/tunnel-plan.js';
import { clientIdentity, parseConnectRequest } from '../../src/core/wire/connect-request.js';
import { readRecording } from '../support/golden.js';
import { aSession, tunnelSettings } from '../support/session.js';

const REKEY_TIME = 172800;

interface Case {
  readonly name: string;
  readonly outerIpv6: boolean;
}

const cases: Case[] = [
  { name: 'connect-dtls-psk', outerIpv6: false },
  { name: 'connect-tls-only', outerIpv6: false },
  { name: 'connect-dtls-legacy-ipv6', outerIpv6: true },
];

describe.each(cases)('$name', ({ name, outerIpv6 }) => {
  const connects = readRecording(`ocserv-1.5.0/${name}.txt`).filter(
    ({ request }) => request.method === 'CONNECT',
  );

  it('has one CONNECT', () => expect(connects).toHaveLength(1));

  it('gets the recorded reply', () => {
    const [connect] = connects;
    if (!connect) return;
    const { request, reply } = connect;
    // Values that differ between sessions are taken from the recording.
    const value = (header: string) => reply.headers.find(([found]) => found === header)?.[1] ?? '';
    const [ipv6 = ''] = value('X-CSTP-Address-IP6').split('/');
    const id = value('X-DTLS-App-ID') || value('X-DTLS-Session-ID') || '00'.repeat(32);
    const session = aSession({
      ipv4: value('X-CSTP-Address'),
      ipv6,
      dtlsSessionId: Buffer.from(id, 'hex'),
      linkMtu: 1500,
      udpPort: 443,
    });
    const plan = planTunnel({
      session,
      request: parseConnectRequest(request.headers),
      identity: clientIdentity(request.headers),
      settings: { ...tunnelSettings, 'rekey-time': REKEY_TIME },
      tls: { version: 'TLSv1.2', cipher: 'ECDHE-RSA-AES256-GCM-SHA384', secureRenegotiation: true },
      outerIpv6,
      tcpPathMtu: 1500,
      nowSec: session.sessionStartTime + 1,
      random: (Number(value('X-CSTP-Rekey-Time')) - (REKEY_TIME - 30) + 0.5) / 61,
    });
    if ('error' in plan) throw new Error(plan.error);
    const headers = reply.headers.map(([header, text]) => `${header}: ${text}\r\n`).join('');
    expect(plan.reply.toString()).toBe(`${reply.statusLine}\r\n${headers}\r\n`);
  });
});
