/** TLS, DTLS and compression: the channels between client and server. */
import { all, flag, G, num, secmod, text, U, V, worker } from '../option-spec.js';

export const channelOptions = {
  'tls-priorities': text('NORMAL:%SERVER_PRECEDENCE:%COMPAT', {
    ...V,
    ...worker,
    max: 4096,
    doc: 'Protocol versions, ciphers and groups as a GnuTLS priority string.',
  }),
  'match-tls-dtls-ciphers': flag(false, {
    ...V,
    ...worker,
    doc: 'DTLS must use the cipher of the TLS connection. Not together with dtls-legacy.',
  }),
  'dtls-psk': flag(true, {
    ...G,
    ...worker,
    doc: 'Offer DTLS with a key from the TLS connection (PSK-NEGOTIATE).',
  }),
  'dtls-legacy': flag(true, { ...V, ...worker, doc: 'DTLS by X-DTLS-Master-Secret, for Cisco clients.' }),
  'no-udp': flag(false, { ...U, ...secmod, doc: 'No DTLS.' }),
  'cisco-client-compat': flag(false, {
    ...V,
    ...worker,
    doc: 'For AnyConnect: client certificates are asked for once per session, dtls-legacy and select-group-by-url are on, TLS 1.3 is off unless tls-priorities is set.',
  }),
  'cisco-svc-client-compat': flag(false, {
    ...V,
    ...worker,
    since: '1.2.0',
    doc: 'For Cisco IP phones (/svc); needs udp-port 443 and turns dtls-legacy on.',
  }),
  'try-mtu-discovery': flag(false, {
    ...G,
    ...worker,
    doc: 'Search the path MTU of the UDP channel.',
  }),
  'output-buffer': num(0, {
    ...V,
    ...worker,
    min: 0,
    unit: 'packets',
    doc: 'Send buffer of the sockets in packets of the MTU, 0: as the system has it.',
  }),
  compression: flag(false, { ...V, ...worker, doc: 'Offer LZ4 and LZS compression.' }),
  'compression-algo-priority': text('lz4:lzs', {
    ...G,
    ...worker,
    values: ['lz4:lzs', 'lzs:lz4', 'lz4', 'lzs'],
    doc: 'Compression algorithms, the preferred one first.',
  }),
  'no-compress-limit': num(256, {
    ...V,
    ...worker,
    min: 64,
    unit: 'bytes',
    doc: 'Smaller packets are not compressed.',
  }),
  offload: flag(true, {
    ...G,
    ...all,
    since: 'ocvpn',
    doc: 'Use tun and UDP offloads where the kernel has them.',
  }),
  'ack-filter': flag(true, {
    ...G,
    ...worker,
    since: 'ocvpn',
    doc: 'Drop TCP acknowledgements of a client that a later one of the same burst repeats; needs offload.',
  }),
} as const;
