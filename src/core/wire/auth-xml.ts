/** The XML that the server sends in the login phase, byte for byte as ocserv 1.5.0 (reference protocol.md §4.2, §5). */
import { encodeCookie } from './cookies.js';
import { type GroupMenu, menuRows } from './groups.js';
import type { Header, HttpReply } from './http-reply.js';
import { escapeXml } from './xml-text.js';

const XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
const VERSION = '<version who="sg">0.1(1)</version>\n';
const XML_TYPE = 'text/xml; charset=utf-8';
const EXPIRED = 'expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly';

/** 'bare': `<auth>` without `config-auth`, for clients of class OC-V3. */
export type XmlStyle = 'aggregate' | 'bare';

export interface AuthForm {
  readonly style: XmlStyle;
  /** 'group': nothing but the group is asked for. */
  readonly kind: 'main' | 'group' | 'password';
  /** pre-login-banner; only in the first form. */
  readonly banner: string;
  readonly message: string;
  readonly menu: GroupMenu;
  /** Selected group, '' for none. */
  readonly group: string;
  /** Number of the password prompt as secmod counts; from 1 on the field is `secondary_password`. */
  readonly passwordCounter: number;
  /** Assigned SID, and how long it lives, seconds. */
  readonly sid: Uint8Array | null;
  readonly cookieTimeoutSec: number;
}

/** 200 with a login form. */
export function formReply(form: AuthForm): HttpReply {
  const body =
    form.style === 'aggregate' ? aggregate('auth-request', authElement(form)) : bare(authElement(form));
  return xmlReply([['Set-Cookie', contextCookie(form.sid, form.cookieTimeoutSec)]], body);
}

function contextCookie(sid: Uint8Array | null, cookieTimeoutSec: number): string {
  if (!sid) return `webvpncontext=; ${EXPIRED}`;
  return `webvpncontext=${encodeCookie(sid)}; Max-Age=${cookieTimeoutSec}; Secure; HttpOnly`;
}

function xmlReply(first: readonly Header[], body: string): HttpReply {
  const headers: Header[] = [
    ...first,
    ['Content-Type', XML_TYPE],
    ['Content-Length', String(Buffer.byteLength(body))],
    ['X-Transcend-Version', '1'],
  ];
  return { status: 200, reason: 'OK', headers, body, after: 'keep' };
}

const aggregate = (type: string, auth: string): string =>
  `${XML_HEAD}<config-auth client="vpn" type="${type}">\n${VERSION}${auth}\n</config-auth>`;
const bare = (auth: string): string => XML_HEAD + auth;

function authElement(form: AuthForm): string {
  const id = form.style === 'bare' && form.kind === 'password' ? 'passwd' : 'main';
  const banner = form.banner ? `<banner>${escapeXml(form.banner)}</banner>` : '';
  const message = `<message>${escapeXml(form.message)}</message>\n`;
  const inputs = inputsOf(form);
  return `<auth id="${id}">\n${banner}${message}<form method="post" action="/auth">\n${inputs}</form></auth>`;
}

function inputsOf(form: AuthForm): string {
  if (form.kind === 'password') return passwordInput(form.passwordCounter);
  return form.kind === 'group' ? groupSelect(form) : credentialInputs + groupSelect(form);
}

const credentialInputs =
  '<input type="text" name="username" label="Username:" />\n' +
  '<input type="password" name="password" label="Password:" />\n';

function passwordInput(counter: number): string {
  return counter === 0
    ? '<input type="password" name="password" label="Password:" />\n'
    : `<input type="password" name="secondary_password" label="Password${counter}:" />\n`;
}

function groupSelect({ menu, group }: AuthForm): string {
  const rows = menuRows(menu, group);
  if (rows.length === 0) return '';
  const options = rows.map(
    ({ value, label }) => `<option value="${escapeXml(value)}">${escapeXml(label)}</option>\n`,
  );
  const nothingSelected = !menu.options.some(({ value }) => value === group);
  if (nothingSelected && menu.defaultOption) {
    options.unshift(`<option>${escapeXml(menu.defaultOption)}</option>\n`);
  }
  return `<select name="group_list" label="Group:">\n${options.join('')}</select>\n`;
}

export interface AuthSuccess {
  readonly style: XmlStyle;
  readonly sid: Uint8Array;
  readonly banner: string;
  /** Upper-case hex SHA-1 of the server certificate's DER; openconnect uses it as a pin in old flows. */
  readonly certificateSha1: string;
  /** user-profile: name of the file and upper-case hex SHA-1 of it; null without one. */
  readonly profile: ProfileLink | null;
}

export interface ProfileLink {
  readonly name: string;
  readonly sha1: string;
}

/** 200 that ends the login and sets the session cookies. */
export function successReply({ style, sid, banner, certificateSha1, profile }: AuthSuccess): HttpReply {
  const bannerXml = banner ? `<banner>${escapeXml(banner)}</banner>` : '';
  const auth = `<auth id="success">\n<title>SSL VPN Service</title>${bannerXml}</auth>`;
  const body =
    style === 'aggregate'
      ? `${XML_HEAD}<config-auth client="vpn" type="complete">\n${VERSION}${auth}${profileElement(profile)}</config-auth>\n`
      : `${XML_HEAD}${auth}\n`;
  const reply = xmlReply([['Connection', 'Keep-Alive']], body);
  const cookie = encodeCookie(sid);
  const cookies: Header[] = [
    ['Set-Cookie', `webvpncontext=${cookie}; Secure; HttpOnly`],
    ['Set-Cookie', `webvpn=${cookie}; Secure; HttpOnly`],
    ['Set-Cookie', `webvpnc=; ${EXPIRED}`],
    [
      'Set-Cookie',
      `webvpnc=bu:/&p:t&iu:1/&sh:${certificateSha1}${profileFields(profile)}; path=/; Secure; HttpOnly`,
    ],
  ];
  return { ...reply, headers: [...reply.headers, ...cookies] };
}

/** Tells AnyConnect where the profile is; it fetches it when the hash is not that of its copy. */
function profileElement(profile: ProfileLink | null): string {
  if (!profile) return '';
  const uri = `/profiles/${encodeURIComponent(profile.name)}`;
  const file = `<uri>${uri}</uri><hash type="sha1">${profile.sha1}</hash>`;
  return (
    '<config client="vpn" type="private"><vpn-profile-manifest><vpn rev="1.0">' +
    `<file type="profile" service-type="user">${file}</file></vpn></vpn-profile-manifest></config>`
  );
}

function profileFields(profile: ProfileLink | null): string {
  if (!profile) return '';
  const translations = '/+CSCOT+/translation-table?textdomain%3DAnyConnect%26type%3Dmanifest';
  return `&lu:${translations}&fu:profiles%2F${encodeURIComponent(profile.name)}&fh:${profile.sha1}`;
}

/** GET /svc: what an IP phone expects before it posts its user's name. */
export function phoneHello(): HttpReply {
  return phoneReply([
    'webvpn=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; secure',
    'webvpnlogin=1; secure',
  ]);
}

/** POST /svc: the phone is logged in. */
export function phoneSuccess(sid: Uint8Array): HttpReply {
  return phoneReply([`webvpn=${encodeCookie(sid)}; secure`]);
}

function phoneReply(cookies: readonly string[]): HttpReply {
  const headers = cookies.map((cookie): Header => ['Set-Cookie', cookie]);
  return {
    status: 200,
    reason: 'OK',
    headers: [...headers, ['Content-Length', '0']],
    body: '',
    after: 'keep',
  };
}
