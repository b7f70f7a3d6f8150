// A process that speaks TLS while another one, its child, holds the keys: for the test that looks for the keys
// in its memory. Arguments: directory, then the names of the certificates.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contextOptions, echo, native, RemoteSigner, TestServer } from './native-tls.support.ts';

const [directory = '', ...names] = process.argv.slice(2);
const path = (name: string, ending: string) => join(directory, `${name}.${ending}`);

const signer = new RemoteSigner(names.map((name) => path(name, 'key')));
const chains = names.map((name) => readFileSync(path(name, 'crt')));
const server = new TestServer(native.createTlsContext(contextOptions(chains)), echo(signer));
process.send?.({ port: server.port, signerPid: signer.pid });
