/**
 * `auth = certificate`. The server has verified the certificate and that the client holds its key (LoginContext);
 * here it is read whose it is.
 */
import { hash } from 'node:crypto';
import type {
  AuthBackend,
  AuthBackendPlugin,
  BackendLog,
  CertificateHolder,
  ClientCertificate,
  Conversation,
  Step,
} from '../../../core/plugin-api/index.js';
import { namesIn } from './certificate-names.js';

export const certificatePlugin: AuthBackendPlugin = {
  manifest: { name: 'certificate', options: {}, needs: [], maxTries: 1, credential: 'certificate' },
  create: async (_options, { log }) => new CertificateBackend(log),
};

const REFUSED: Step = { result: 'fail', retry: false, message: '' };
/** Sessions have such names, bytes. */
const MAX_NAME = 64;
/** Certificates whose names are remembered: reading one takes longer than all else about it. */
const MAX_REMEMBERED = 256;

class CertificateBackend implements AuthBackend {
  readonly #log: BackendLog;
  /** By the certificate's hash and the fields, longest unused first. The names in the same bytes are always the same. */
  readonly #known = new Map<string, CertificateHolder>();

  constructor(log: BackendLog) {
    this.#log = log;
  }

  holderOf(certificate: ClientCertificate): CertificateHolder | null {
    const { der, userField, groupField } = certificate;
    const id = `${hash('sha256', der, 'base64')} ${userField} ${groupField}`;
    const holder = this.#known.get(id) ?? this.#read(certificate);
    // What cannot be read is told in the log each time.
    if (holder === null) return null;
    this.#known.delete(id);
    this.#known.set(id, holder);
    if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value ?? id);
    return holder;
  }

  #read({ der, userField, groupField }: ClientCertificate): CertificateHolder | null {
    try {
      const [userName] = namesIn(der, userField);
      if (!isName(userName)) return null;
      return { userName, groups: groupField === '' ? [] : namesIn(der, groupField).filter(isName) };
    } catch (error) {
      this.#log.warn({ err: error }, 'a client certificate cannot be read');
      return null;
    }
  }

  begin({ certificate, userName }: Parameters<AuthBackend['begin']>[0]): Conversation {
    const holder = certificate && this.holderOf(certificate);
    const start = async (): Promise<Step> => {
      if (!holder) {
        this.#log.info({ user: userName }, 'login without a good client certificate');
        return REFUSED;
      }
      return { result: 'ok', ...holder };
    };
    return {
      start,
      answer: async () => REFUSED,
    };
  }
}

/** Neither empty nor too long, and without control characters, which could forge a line of a log or a file. */
function isName(name: string | undefined): name is string {
  return name !== undefined && name !== '' && Buffer.byteLength(name) <= MAX_NAME && !/\p{Cc}/u.test(name);
}
