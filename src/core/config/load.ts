/**
 * Reads the configuration: a file in YAML, in JSON or in ocserv's own format, or the embedded default. Data only:
 * nothing here runs code that a file names.
 */
import { extname, resolve } from 'node:path';
import { VpnError } from '../errors.js';
import { type Built, build, type Values } from './build.js';
import type { VhostCheck } from './cross-checks.js';
import { documentOf, parseData } from './data-file.js';
import type { Document } from './document.js';
import { embeddedDefault, withEmbeddedCertificate } from './embedded.js';
import { parseConf } from './ocserv-conf.js';
import { type OptionSpec, options, type ServerConfig } from './schema.js';
import { readSourceFile } from './source-file.js';
import { optionNamed } from './validate.js';

export interface LoadOptions {
  /** Configuration file; absent: the embedded default for `dataDir`. */
  readonly file?: string | undefined;
  readonly dataDir: string;
  /** Options of the command line: they win over the file, for the default virtual host. */
  readonly overrides?: Values;
  /** What is checked beside the values: fileCheck, tlsCheck. */
  readonly checks?: readonly VhostCheck[];
  /** Called with each line about an option that has no effect or is probably not meant. */
  readonly notice?: (line: string) => void;
}

/** Loads and checks the configuration. Throws OCS_FILE, or OCS_CONFIG with one line for every mistake. */
export function loadConfig(request: LoadOptions): ServerConfig {
  const { config, notices } = loadDetailed(request);
  for (const line of notices) request.notice?.(line);
  return config;
}

/** The same with the place of every option. */
export function loadDetailed({ file, dataDir, overrides = {}, checks }: LoadOptions): Built {
  if (file === undefined) return build(documentOf(embeddedDefault(dataDir)), overrides, null, checks);
  const path = resolve(file);
  const written = readDocument(path);
  const document = withEmbeddedCertificate(written, dataDir);
  const built = build(document, overrides, path, checks);
  if (document === written) return built;
  const notice = `${path}: server-cert: is not set, the self-made certificate in ${dataDir} is used`;
  return { ...built, notices: [notice, ...built.notices] };
}

/** The file as it is written, not yet checked against the schema. */
export function readDocument(path: string): Document {
  const format = formatOf(path);
  const text = readSourceFile(path);
  return format === 'conf' ? parseConf(text, { isVerbatim }) : parseData(text, format);
}

export type FileFormat = 'yaml' | 'json' | 'conf';

/** By the name's ending. ocserv takes files of any name, so what has none of ours is in its format. */
export function formatOf(path: string): FileFormat {
  if (path.endsWith('.vpnrc')) return 'yaml';
  switch (extname(path).toLowerCase()) {
    case '.yaml':
    case '.yml':
      return 'yaml';
    case '.json':
      return 'json';
    case '.js':
    case '.cjs':
    case '.mjs':
    case '.ts':
      throw new VpnError('OCS_FILE', { what: 'configuration file', path, reason: 'programs are never run' });
    default:
      return 'conf';
  }
}

function isVerbatim(written: string): boolean {
  const name = optionNamed(written);
  const spec: OptionSpec | undefined = name && options[name];
  return spec?.verbatim === true;
}

/** Turns values in memory into a configuration; `source` only names them in messages. */
export function buildConfig(values: unknown, overrides: Values, source: string | null): ServerConfig {
  return build(documentOf(values), overrides, source).config;
}
