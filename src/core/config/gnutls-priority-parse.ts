/** Reads a GnuTLS priority string into the lists of names that it selects. */
import {
  CIPHERS,
  GROUPS,
  KEY_EXCHANGES,
  KEYWORDS,
  MACS,
  type Selection,
  SIGNATURES,
  SILENT_OPTIONS,
  SUITES_13,
  VERSIONS,
} from './gnutls-priority-tables.js';

export type { Selection } from './gnutls-priority-tables.js';

export interface Parsed {
  readonly selection: Selection;
  /** %SERVER_PRECEDENCE */
  readonly serverPrecedence: boolean;
  /** Words that have no counterpart, one sentence each. */
  readonly warnings: readonly string[];
}

type Kind = keyof Selection;
type Lists = Record<Kind, string[]>;

const NORMAL = KEYWORDS.get('NORMAL') ?? emptySelection();
const KINDS: readonly Kind[] = ['versions', 'ciphers', 'macs', 'keyExchanges', 'groups', 'signatures'];
const KNOWN: Readonly<Record<Kind, readonly string[]>> = {
  versions: [...VERSIONS.keys()],
  ciphers: [...new Set([...CIPHERS.keys(), ...SUITES_13.keys()])],
  macs: [...MACS],
  keyExchanges: [...KEY_EXCHANGES.keys()],
  groups: [...GROUPS.keys()],
  signatures: [...SIGNATURES.keys()],
};
/** Taken away they mean everything, added they mean what NORMAL has. */
const ALL: Readonly<Record<string, Kind>> = {
  'VERS-ALL': 'versions',
  'VERS-TLS-ALL': 'versions',
  'CIPHER-ALL': 'ciphers',
  'MAC-ALL': 'macs',
  'KX-ALL': 'keyExchanges',
  'GROUP-ALL': 'groups',
  'CURVE-ALL': 'groups',
  'SIGN-ALL': 'signatures',
};
/** Certificates are X.509 and TLS is never compressed: these change nothing. DTLS is always 1.2. */
const WITHOUT_EFFECT =
  /^(?:CTYPE-(?:X\.?509|ALL|(?:SRV-|CLI-)(?:X\.?509|ALL))|COMP-(?:NULL|ALL)|VERS-DTLS(?:-ALL|1\.2))$/;
/** Older versions: taking them away is what happens anyway. */
const OLD_VERSION = /^VERS-(?:SSL3\.0|TLS1\.[01]|DTLS(?:0\.9|1\.0))$/;

/** Reads `priority`; a sentence when it does not begin with a keyword. */
export function parsePriority(priority: string): Parsed | string {
  const [first = '', ...rest] = priority.trim().split(/\s*[:,]\s*/);
  const start = first === 'NONE' ? emptySelection() : KEYWORDS.get(first.toUpperCase());
  const fromSystem = first.startsWith('@');
  if (!start && !fromSystem)
    return `"${priority}" does not begin with one of ${[...KEYWORDS.keys(), 'NONE'].join(', ')}`;
  const reader = new Reader(start ?? NORMAL);
  if (fromSystem) reader.warn(`${first} is a priority of the GnuTLS on this system, NORMAL is used`);
  for (const word of rest) if (word !== '') reader.word(word);
  return reader.result();
}

function emptySelection(): Selection {
  return { versions: [], ciphers: [], macs: [], keyExchanges: [], groups: [], signatures: [] };
}

class Reader {
  readonly #lists: Lists;
  readonly #warnings: string[] = [];
  #serverPrecedence = false;

  constructor(start: Selection) {
    this.#lists = Object.fromEntries(KINDS.map((kind) => [kind, [...start[kind]]])) as Lists;
  }

  result(): Parsed {
    return {
      selection: this.#lists,
      serverPrecedence: this.#serverPrecedence,
      warnings: this.#warnings,
    };
  }

  warn(sentence: string): void {
    this.#warnings.push(sentence);
  }

  word(word: string): void {
    const sign = word.charAt(0);
    const name = word.slice(1).toUpperCase();
    if (sign === '%') this.#option(name);
    else if (sign === '+') this.#change(word, name, true);
    else if (sign === '-' || sign === '!') this.#change(word, name, false);
    else if (KEYWORDS.has(word.toUpperCase())) this.#change(word, word.toUpperCase(), true);
    else this.warn(`${word} is not understood`);
  }

  #option(name: string): void {
    if (name === 'SERVER_PRECEDENCE') this.#serverPrecedence = true;
    else if (!SILENT_OPTIONS.has(name)) this.warn(`%${name} has no counterpart`);
  }

  #change(word: string, name: string, add: boolean): void {
    const whole = KEYWORDS.get(name);
    const all = ALL[name];
    const [kind, known] = kindOf(name);
    if (whole && add) {
      for (const each of KINDS) if (each !== 'versions') this.#apply(each, whole[each], true);
    } else if (all) {
      this.#apply(all, add ? NORMAL[all] : this.#lists[all], add);
    } else if (kind) {
      this.#apply(kind, [known], add);
    } else if (!WITHOUT_EFFECT.test(name) && (add || !looksLikeAlgorithm(name))) {
      // What cannot be offered is away already, so that taking it away needs no word.
      this.warn(`${word} has no counterpart`);
    }
  }

  #apply(kind: Kind, names: readonly string[], add: boolean): void {
    const list = this.#lists[kind];
    if (add) list.push(...names.filter((name) => !list.includes(name)));
    else this.#lists[kind] = list.filter((name) => !names.includes(name));
  }
}

/** The list that a name belongs to, and the name as the tables have it. */
function kindOf(name: string): [Kind, string] | [null, string] {
  if (KNOWN.versions.includes(name)) return ['versions', name];
  const [, prefix, rest = ''] = /^(GROUP|CURVE|SIGN)-(.+)$/.exec(name) ?? [];
  if (prefix === 'SIGN') return KNOWN.signatures.includes(rest) ? ['signatures', rest] : [null, name];
  if (prefix) return KNOWN.groups.includes(rest) ? ['groups', rest] : [null, name];
  for (const kind of ['ciphers', 'macs', 'keyExchanges'] as const) {
    if (KNOWN[kind].includes(name)) return [kind, name];
  }
  return [null, name];
}

/** Names of algorithms and versions that GnuTLS has and OpenSSL does not offer here. */
function looksLikeAlgorithm(name: string): boolean {
  const others =
    /^(?:3DES-CBC|ARCFOUR-\d+|RC2-\d+|DES-CBC|NULL|CAMELLIA-\d+-GCM|GOST.*|MD5|SHA512|SHA224|UMAC-\d+|AES-\d+-CFB8?|AES-\d+-SIV|SALSA20-256|ESTREAM-SALSA20-256|(?:ANON|SRP|DHE|ECDHE|RSA|VKO)(?:-[A-Z0-9]+)*|PSK|DHE-PSK|RSA-EXPORT|(?:GROUP|CURVE|SIGN|CTYPE|COMP)-.+)$/;
  return OLD_VERSION.test(name) || others.test(name);
}
