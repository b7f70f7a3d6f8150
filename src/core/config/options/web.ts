/** What users and clients see before and at login: banners, groups, HTTP. */
import { flag, many, secmod, secmodWorker, text, U, V, worker } from '../option-spec.js';

export const webOptions = {
  banner: text('', { ...V, ...secmodWorker, max: 256, doc: 'Shown after login, at most 256 bytes.' }),
  'pre-login-banner': text('', { ...V, ...worker, max: 2048, doc: 'Shown in the first form.' }),
  'select-group': many({
    ...V,
    ...worker,
    format: 'group-option',
    doc: 'Groups to offer: group or group[Friendly name].',
  }),
  'default-select-group': text('', { ...V, ...worker, doc: 'The option that means no group.' }),
  'select-group-by-url': flag(false, {
    ...V,
    ...worker,
    since: '1.3.0',
    doc: 'https://server/GROUP selects a group.',
  }),
  'custom-header': many({
    ...V,
    ...worker,
    format: 'header',
    max: 64,
    doc: 'Header added to the reply to CONNECT; %{U} is the user, %{G} the group.',
  }),
  'included-http-headers': many({
    ...V,
    ...worker,
    since: '1.2.0',
    verbatim: true,
    format: 'header',
    max: 64,
    doc: 'Header added to all HTTP replies.',
  }),
  camouflage: flag(false, {
    ...V,
    ...worker,
    since: '1.2.0',
    doc: 'Answer like an ordinary web server unless the URL carries ?camouflage_secret.',
  }),
  camouflage_secret: text('', {
    ...V,
    ...worker,
    since: '1.2.0',
    secret: true,
    format: 'camouflage-secret',
    max: 64,
    doc: 'Secret of camouflage, part of the URL that clients use.',
  }),
  camouflage_realm: text('', {
    ...V,
    ...worker,
    since: '1.2.0',
    max: 128,
    doc: 'Realm of the password prompt that strangers see with camouflage; empty: a page that does not exist.',
  }),
  'proxy-url': text('', {
    ...V,
    ...worker,
    format: 'url',
    max: 1024,
    doc: 'URL of a proxy configuration for the client; %{U} is the user, %{G} the group.',
  }),
  'user-profile': text('', {
    ...U,
    ...secmod,
    format: 'file',
    max: 1024,
    doc: "AnyConnect XML profile for clients; only the virtual host's value is sent.",
  }),
  'listen-host-is-dyndns': flag(false, {
    ...V,
    ...worker,
    doc: "The server's address changes: clients look its name up again (X-CSTP-DynDNS).",
  }),
  kkdcp: many({
    ...V,
    ...secmodWorker,
    format: 'kkdcp',
    max: 16,
    doc: 'Kerberos proxy: "/path REALM udp|tcp@host:port". POST to the path is a question to that KDC, for clients that cannot reach it.',
  }),
} as const;
