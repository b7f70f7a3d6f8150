/** A configuration file as it was read, before the schema is applied: what each format's reader returns. */

/** One option where it was written. */
export interface Setting {
  /** As written: may be an older name, or unknown. */
  readonly option: string;
  /** A text in ocserv's format, any value in YAML and JSON. */
  readonly value: unknown;
  /** Line in the file, from 1; null without a file. */
  readonly line: number | null;
}

export interface Section {
  /** Name of the virtual host in lower case. */
  readonly name: string;
  readonly settings: readonly Setting[];
}

export interface Mistake {
  readonly line: number | null;
  /** '' when it concerns the line as a whole. */
  readonly option: string;
  readonly problem: string;
}

export interface Document {
  /**
   * conf: values are texts, options that take several values are repeated, and virtual hosts add to the lists that
   * they inherit. data: values have their types, and lists of virtual hosts replace what they inherit.
   */
  readonly format: 'conf' | 'data';
  /** Options of the default virtual host and of the server. */
  readonly settings: readonly Setting[];
  readonly vhosts: readonly Section[];
  readonly mistakes: readonly Mistake[];
}
