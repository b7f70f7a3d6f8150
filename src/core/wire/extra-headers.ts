/** Headers that the administrator adds to replies: included-http-headers and custom-header. */
import type { Header } from './http-reply.js';

/** `Name: value` of each text; one without a name is left out, the configuration's check has refused it before. */
export function parseHeaders(texts: readonly string[]): Header[] {
  return texts.flatMap((text): Header[] => {
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(colon, 0)).trim();
    return name === '' ? [] : [[name, text.slice(colon + 1).trim()]];
  });
}

/** Puts the user's and the group's name in place of `%{U}` and `%{G}`. */
export function fillNames(text: string, userName: string, groupName: string): string {
  return text.replaceAll(/%\{([UG])\}/g, (_, which: string) => (which === 'U' ? userName : groupName));
}
