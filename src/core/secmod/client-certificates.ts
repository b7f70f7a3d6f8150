/**
 * The certificates that the clients of one worker have shown. A worker's word is not enough: it sends the handshake,
 * and a certificate counts only if this process has signed that very handshake for it a moment ago, if the client's
 * signature over it is good, and if the chain is (docs/adr/0009-proof-of-client-certificates.md).
 */
import { hash } from 'node:crypto';
import type { VhostConfig } from '../config/schema.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { ClientCertificate } from '../plugin-api/index.js';
import { forgetOldest } from '../util/forget-oldest.js';
import type { ClientTrust } from './client-trust.js';
import { isClientSignature } from './signing.js';
import { readHandshake, type ShownCertificate } from './tls-handshake.js';
import type { Vhost } from './vhosts.js';
import { certificateMethod } from './ways.js';

type Reply = Body<'SEC_CLIENT_CERT_REP'>;

export const NO_HOLDER = 'it has no user name where cert-user-oid says';
const MAX_REASON = 256;
const MAX_NAME_BYTES = 64;
const MAX_GROUPS = 64;

export class ClientCertificates {
  readonly #log: Logger;
  readonly #capacity: number;
  /** Handshakes that were signed for this worker and not used yet, oldest first. */
  readonly #signed = new Set<string>();
  /** DER by client, and the virtual host for which it was shown. */
  readonly #shown = new Map<number, { readonly vhost: string; readonly der: Uint8Array }>();

  /** `capacity`: handshakes and certificates remembered at once; the oldest gives way. */
  constructor(capacity: number, log: Logger) {
    this.#capacity = capacity;
    this.#log = log;
  }

  /** A handshake of this worker was signed: SEC_SIGN_DATA. */
  signed(vhost: string, data: Uint8Array): void {
    this.#signed.add(handshakeId(vhost, data));
    forgetOldest(this.#signed, this.#capacity);
  }

  /** SEC_CLIENT_CERT. */
  show(vhost: Vhost | undefined, { client, handshake }: Body<'SEC_CLIENT_CERT'>): Reply {
    this.#shown.delete(client);
    const outcome = vhost ? this.#verified(vhost, handshake) : 'unknown virtual host';
    if (!vhost || typeof outcome === 'string') return this.#refused(client, String(outcome));
    const holder =
      certificateMethod(vhost.ways)?.backend.holderOf?.(certificateOf(vhost.config, outcome)) ?? null;
    if (!holder) return this.#refused(client, NO_HOLDER);
    this.#shown.set(client, { vhost: vhost.config.name, der: outcome });
    forgetOldest(this.#shown, this.#capacity);
    const groups = holder.groups.filter((group) => Buffer.byteLength(group) <= MAX_NAME_BYTES);
    return { ok: true, userName: holder.userName, groups: groups.slice(0, MAX_GROUPS), reason: '' };
  }

  /** The certificate of a client of this virtual host; null without a good one. */
  of(client: number, vhost: Vhost): ClientCertificate | null {
    const shown = this.#shown.get(client);
    return shown?.vhost === vhost.config.name ? certificateOf(vhost.config, shown.der) : null;
  }

  #refused(client: number, reason: string): Reply {
    this.#log.info({ client, reason }, 'client certificate refused');
    return { ok: false, userName: '', groups: [], reason: reason.slice(0, MAX_REASON / 4) };
  }

  /** DER of the leaf, or why it does not count. */
  #verified(vhost: Vhost, handshake: Uint8Array): Uint8Array | string {
    const { clientTrust } = vhost;
    if (!clientTrust || !certificateMethod(vhost.ways)) return 'this virtual host takes no certificates';
    try {
      const shown = readHandshake(handshake);
      // Once: what was recorded cannot be shown again.
      if (!this.#signed.delete(handshakeId(vhost.config.name, shown.serverSigned)))
        return 'the handshake is none that was signed for this worker';
      if (!hasKey(clientTrust, shown)) return 'the client does not hold the key of the certificate';
      const [leaf = Buffer.alloc(0)] = shown.chain;
      return clientTrust.verifier.verify(shown.chain) || Uint8Array.from(leaf);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

function hasKey({ keys }: ClientTrust, shown: ShownCertificate): boolean {
  return isClientSignature(keys.of(shown.chain[0] ?? Buffer.alloc(0)), shown);
}

/** What back ends get of a certificate. */
export function certificateOf(config: VhostConfig, der: Uint8Array): ClientCertificate {
  return { der, userField: config['cert-user-oid'], groupField: config['cert-group-oid'] };
}

function handshakeId(vhost: string, serverSigned: Uint8Array): string {
  return hash('sha256', Buffer.concat([Buffer.from(`${vhost}\0`), serverSigned]), 'base64');
}
