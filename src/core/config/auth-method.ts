/** The syntax of `auth`: `name`, `name[key=value,key=value]`, and ocserv's older `plain[/path]`. */

export interface AuthMethod {
  readonly name: string;
  /** Sub-options in the order given; the key of an older positional value is ''. */
  readonly options: ReadonlyMap<string, string>;
}

/** Parses one value of `auth`. Returns a sentence about the mistake instead of throwing. */
export function parseAuthMethod(text: string): AuthMethod | string {
  const match = /^\s*([a-z][a-z0-9-]*)\s*(?:\[(.*)\])?\s*$/su.exec(text);
  if (!match) return `"${text}" is not of the form name[key=value,key=value]`;
  const options = new Map<string, string>();
  for (const part of (match[2] ?? '').split(',')) {
    if (part.trim() === '') continue;
    const [key, value] = splitOption(part);
    if (options.has(key)) return `"${text}" gives ${key || 'its value'} twice`;
    options.set(key, value);
  }
  return { name: match[1] ?? '', options };
}

/** `plain[passwd=/etc/ocserv/ocpasswd]` is `plain`. */
export const methodName = (text: string): string => text.split('[', 1)[0]?.trim() ?? '';

function splitOption(part: string): [string, string] {
  const equals = part.indexOf('=');
  const key = equals < 0 ? '' : part.slice(0, equals).trim();
  return [key, unquote(part.slice(equals + 1).trim())];
}

function unquote(text: string): string {
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
