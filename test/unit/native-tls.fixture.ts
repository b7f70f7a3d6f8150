// What most tests of the native TLS need: an ECDSA certificate, who signs for it, and a context.
import { afterAll } from 'vitest';
import { type Behaviour, contextOptions, echo, native, RemoteSigner, TestPki } from './native-tls.support.js';

/** One for all tests of the file that calls it; gone after the last of them. */
export function ecServer() {
  const pki = new TestPki();
  pki.issue('ec', 'ec');
  const signer = new RemoteSigner([pki.path('ec.key')]);
  const context = native.createTlsContext(contextOptions([pki.read('ec.crt')]));
  afterAll(async () => {
    await signer.close();
    pki.remove();
  });
  /** A server's behaviour: signs, and does nothing else. */
  const signing = (): Behaviour => ({ onSign: echo(signer).onSign });
  return { pki, signer, context, signing };
}
