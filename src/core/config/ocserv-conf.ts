/**
 * Reads ocserv's own format: `option = value` lines, comments, `[vhost:NAME]` sections (reference: ocserv's
 * configuration is read by inih, whose rules for comments and continued lines hold here). Text in, document out.
 */
import type { Document, Mistake, Section, Setting } from './document.js';

const MAX_LINE = 16 * 1024;
const SEPARATOR = /[=:]/;
/** Options whose value keeps its quotes. */
export interface ConfOptions {
  readonly isVerbatim: (option: string) => boolean;
}

/** Reads the text of one file. Mistakes are collected, the rest is read nevertheless. */
export function parseConf(text: string, { isVerbatim }: ConfOptions): Document {
  return new Reader(isVerbatim).read(text);
}

class Reader {
  readonly #isVerbatim: (option: string) => boolean;
  readonly #main: Setting[] = [];
  readonly #vhosts = new Map<string, Setting[]>();
  readonly #mistakes: Mistake[] = [];
  #settings: Setting[] = this.#main;
  /** The option that an indented line without a name goes on with. */
  #previous = '';

  constructor(isVerbatim: (option: string) => boolean) {
    this.#isVerbatim = isVerbatim;
  }

  read(text: string): Document {
    const lines = text.replace(/^\uFEFF/, '').split('\n');
    for (const [index, line] of lines.entries()) this.#line(line, index + 1);
    const vhosts = [...this.#vhosts].map(([name, settings]): Section => ({ name, settings }));
    return { format: 'conf', settings: this.#main, vhosts, mistakes: this.#mistakes };
  }

  #line(raw: string, line: number): void {
    const text = raw.trim();
    if (text === '' || text.startsWith('#') || text.startsWith(';')) return;
    if (text.length > MAX_LINE) this.#mistake(line, '', `the line is longer than ${MAX_LINE} characters`);
    else if (text.startsWith('[')) this.#section(text, line);
    else this.#setting(text, /^\s/.test(raw), line);
  }

  #section(text: string, line: number): void {
    this.#previous = '';
    const name = /^\[vhost:\s*([^\]]*?)\s*\]\s*(?:[;#].*)?$/i.exec(text)?.[1]?.toLowerCase();
    // What follows a header that cannot be read belongs to no virtual host: it is checked, and goes nowhere.
    this.#settings = [];
    if (name === undefined) {
      this.#mistake(line, '', `"${shorten(text)}" is no section; there is only [vhost:NAME]`);
    } else if (name === '' || name === 'default') {
      this.#mistake(line, '', `"${shorten(text)}" needs a name other than "default"`);
    } else {
      this.#settings = this.#vhosts.get(name) ?? [];
      this.#vhosts.set(name, this.#settings);
    }
  }

  #setting(text: string, indented: boolean, line: number): void {
    const at = text.search(SEPARATOR);
    const option = at < 0 ? '' : text.slice(0, at).trim();
    if (/^[\w-]+$/.test(option)) {
      this.#previous = option;
      this.#value(option, text.slice(at + 1).trim(), line);
    } else if (indented && this.#previous !== '') {
      this.#value(this.#previous, text, line);
    } else {
      this.#mistake(line, '', `"${shorten(text)}" is not of the form "option = value"`);
    }
  }

  #value(option: string, written: string, line: number): void {
    const value = this.#isVerbatim(option) ? withoutComment(written) : unquoted(written);
    if (value === null) this.#mistake(line, option, 'has a quote that is not closed');
    else this.#settings.push({ option, value, line });
  }

  #mistake(line: number, option: string, problem: string): void {
    this.#mistakes.push({ line, option, problem });
  }
}

/** The text inside the quotes, or without quotes the text before a comment. null when a quote is not closed. */
function unquoted(written: string): string | null {
  if (!written.startsWith('"')) return withoutComment(written);
  return /^"+(.*?)"+(?:\s+[;#].*)?$/s.exec(written)?.[1]?.trim() ?? null;
}

/** inih: a semicolon after a blank starts a comment. */
function withoutComment(written: string): string {
  return written.replace(/(?:^|\s+);.*$/s, '').trim();
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
