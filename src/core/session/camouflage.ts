/**
 * Hides the server from those who do not know `camouflage_secret` (reference protocol.md §4.8): until a connection has
 * shown it as the query of a URL, or a good session cookie, it is answered like an ordinary web server's.
 */
import { type HttpReply, methodNotAllowed, passwordWanted, plainNotFound } from '../wire/http-reply.js';

export interface CamouflageSettings {
  readonly camouflage: boolean;
  readonly camouflage_secret: string;
  readonly camouflage_realm: string;
}

export class Camouflage {
  readonly #settings: CamouflageSettings;
  #passed: boolean;

  constructor(settings: CamouflageSettings) {
    this.#settings = settings;
    this.#passed = !settings.camouflage;
  }

  /** The connection may see what is here. */
  get passed(): boolean {
    return this.#passed;
  }

  /** Looks for the secret in a request's URL; returns the URL without it. */
  look(url: string): string {
    const secret = this.#settings.camouflage_secret;
    const mark = url.indexOf('?');
    if (!this.#settings.camouflage || secret === '' || mark < 0 || !sameText(url.slice(mark + 1), secret))
      return url;
    this.#passed = true;
    return url.slice(0, mark);
  }

  /** The client has a session, so it knew the secret. */
  pass(): void {
    this.#passed = true;
  }

  /** What a stranger gets instead of a page. */
  refusal(): HttpReply {
    const realm = this.#settings.camouflage_realm;
    return realm === '' ? plainNotFound() : passwordWanted(realm);
  }

  /** What becomes of a refusal of CONNECT. */
  connectRefusal(reply: HttpReply): HttpReply {
    return this.#passed ? reply : methodNotAllowed();
  }
}

/** The time does not tell how much of the secret was right. */
function sameText(given: string, secret: string): boolean {
  let difference = given.length ^ secret.length;
  for (let at = 0; at < given.length; at++) {
    difference |= given.charCodeAt(at) ^ secret.charCodeAt(at % secret.length);
  }
  return difference === 0;
}
