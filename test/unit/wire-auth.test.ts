import { describe, expect, it } from 'vitest';
import { parseAuthBody } from '../../src/core/wire/auth-body.js';
import { type AuthForm, formReply, successReply } from '../../src/core/wire/auth-xml.js';
import { decodeCookie, encodeCookie, parseCookies } from '../../src/core/wire/cookies.js';
import { groupMenu, menuRows, resolveGroup } from '../../src/core/wire/groups.js';
import { classifyAgent } from '../../src/core/wire/user-agent.js';
import { escapeXml, unescapeXml } from '../../src/core/wire/xml-text.js';

const read = (text: string) => {
  const { username, password, group, format } = parseAuthBody(Buffer.from(text, 'utf8'));
  return { format, username, password: password?.toString('utf8') ?? null, group };
};
const XML = '<?xml version="1.0" encoding="UTF-8"?>';

describe('parseAuthBody', () => {
  it.each([
    [`${XML}<auth><username>bob</username><password>x</password></auth>`, 'bob', 'x', null],
    [`${XML}<USERNAME>bob</USERNAME><Password>x</Password>`, 'bob', 'x', null],
    ['<?xml version: "1.0"?><username>bob</username><password>x</password>', 'bob', 'x', null],
    [`${XML}<auth><secondary_password>123456</secondary_password></auth>`, null, '123456', null],
    [`${XML}<username>bob</username><group-select>g &amp; h</group-select>`, 'bob', null, 'g & h'],
    [
      `${XML}<password>&lt;&gt;&quot;&apos;&#65;&#x20AC;&nbsp;&#0;</password>`,
      null,
      '<>"\'A€&nbsp;&#0;',
      null,
    ],
    [`${XML}<username></username><password/>`, '', '', null],
    [`${XML}<password/><group-select>x</group-select>`, null, '', 'x'],
    [`${XML}<auth><username>bob`, null, null, null],
    [
      `${XML}<config-auth type="init"><group-access>https://h/</group-access></config-auth>`,
      null,
      null,
      null,
    ],
  ])('reads XML %s', (body, username, password, group) => {
    expect(read(body)).toEqual({ format: 'xml', username, password, group });
  });

  it.each([
    ['username=bob&password=a%26b%3Dc+d&group_list=tech', 'bob', 'a&b=c d', 'tech'],
    ['group%5flist=staff&username=bob&password=x', 'bob', 'x', 'staff'],
    ['USERNAME=bob&Password=x', 'bob', 'x', null],
    ['secondary_password=1&username=', '', '1', null],
    ['password=100%25%&username=b%zz', 'b%zz', '100%%', null],
    ['password=a=b', null, 'a=b', null],
    ['nothing here', null, null, null],
    ['', null, null, null],
  ])('reads form %s', (body, username, password, group) => {
    expect(read(body)).toEqual({ format: 'form', username, password, group });
  });

  it('keeps the bytes of a password that is not UTF-8', () => {
    const body = Buffer.concat([
      Buffer.from(`${XML}<password>`),
      Buffer.from([0xff, 0xe9]),
      Buffer.from('</password>'),
    ]);
    expect([...(parseAuthBody(body).password ?? [])]).toEqual([0xff, 0xe9]);
    expect([...(parseAuthBody(Buffer.from('password=%FF%e9')).password ?? [])]).toEqual([0xff, 0xe9]);
  });
});

describe('XML text', () => {
  it('escapes what would end an element or attribute', () => {
    expect(escapeXml(`<a b="c" & 'd'>\u0000`)).toBe('&lt;a b=&quot;c&quot; &amp; &apos;d&apos;&gt;');
  });
  it('leaves what is no entity', () => {
    expect(unescapeXml(Buffer.from('& &; &#xD800; &#1114112; &amp;amp;')).toString()).toBe(
      '& &; &#xD800; &#1114112; &amp;',
    );
  });
});

describe('cookies', () => {
  const sid = Buffer.alloc(32, 0xfb);
  it('reads webvpn among others', () => {
    const cookies = parseCookies(`openconnect_strapkey=MHc=; webvpn=${encodeCookie(sid)}; webvpncontext=x`);
    expect(cookies.webvpn).toEqual(sid);
    expect(cookies.webvpncontext).toBeNull();
  });
  it.each([
    ['', 'empty'],
    [encodeCookie(Buffer.alloc(31)), '31 bytes'],
    [encodeCookie(Buffer.alloc(33)), '33 bytes'],
    [`${'A'.repeat(43)}!`, 'not base64'],
    ['A'.repeat(1000), 'too long'],
    [Buffer.alloc(32, 0xfb).toString('base64url'), 'base64url'],
  ])('refuses %s (%s)', (value) => {
    expect(decodeCookie(value)).toBeNull();
  });
  it('is not stopped by broken parts', () => {
    expect(parseCookies(`;;=;a;webvpn;webvpn=${encodeCookie(sid)}`).webvpn).toEqual(sid);
  });
});

describe('groups', () => {
  const menu = groupMenu(['staff', 'tech[Technical people]', ' '], 'default');
  it.each([
    ['tech', 'tech'],
    ['Technical people', 'tech'],
    ['default', ''],
    ['', ''],
    [null, ''],
    ['unknown', 'unknown'],
  ])('resolves %s', (proposed, group) => expect(resolveGroup(menu, proposed)).toBe(group));
  it('puts the selected group first and never an unknown one', () => {
    expect(menuRows(menu, 'tech').map(({ value }) => value)).toEqual(['tech', 'staff']);
    expect(menuRows(menu, 'unknown').map(({ value }) => value)).toEqual(['staff', 'tech']);
  });
});

describe('forms', () => {
  const form: AuthForm = {
    style: 'aggregate',
    kind: 'password',
    banner: '',
    message: '2 < 3',
    menu: groupMenu([], ''),
    group: '',
    passwordCounter: 0,
    sid: Buffer.alloc(32),
    cookieTimeoutSec: 60,
  };
  it('asks for the second factor under another name', () => {
    const { body } = formReply({ ...form, passwordCounter: 1 });
    expect(body).toContain('<input type="password" name="secondary_password" label="Password1:" />');
    expect(body).toContain('<message>2 &lt; 3</message>');
  });
  it('has no config-auth for openconnect up to version 3', () => {
    const { body } = formReply({ ...form, style: 'bare' });
    expect(body).toContain('<auth id="passwd">');
    expect(body).not.toContain('config-auth');
    const success = successReply({
      style: 'bare',
      sid: Buffer.alloc(32),
      banner: '',
      certificateSha1: 'AB',
      profile: null,
    });
    expect(success.body).not.toContain('config-auth');
  });
  it('escapes group names and banners', () => {
    const { body } = formReply({
      ...form,
      kind: 'main',
      banner: '<b>',
      menu: groupMenu(['a&b[A "B"]'], 'd<'),
    });
    expect(body).toContain('<banner>&lt;b&gt;</banner>');
    expect(body).toContain('<option value="a&amp;b">A &quot;B&quot;</option>');
    expect(body).toContain('<option>d&lt;</option>');
  });
  it('counts bytes, not characters', () => {
    const reply = formReply({ ...form, message: 'Passwort für Zoë' });
    const length = reply.headers.find(([name]) => name === 'Content-Length')?.[1];
    expect(length).toBe(String(Buffer.byteLength(reply.body)));
  });
});

describe('user agents', () => {
  it.each([
    ['Open AnyConnect VPN Agent v9.01-3', 'OPENCONNECT'],
    ['Open AnyConnect VPN Agent v3.99', 'OC-V3'],
    ['Open AnyConnect VPN Agent vX', 'OC-V3'],
    ['AnyConnect-compatible OpenConnect VPN Agent v9.21', 'OPENCONNECT'],
    ['OpenConnect VPN Agent (NetworkManager) v7', 'OPENCONNECT'],
    ['AnyConnect Linux_64 4.10.08029', 'ANYCONNECT'],
    ['Cisco AnyConnect VPN Agent for Windows 4', 'ANYCONNECT'],
    ['Cisco AnyConnect VPN Agent for Apple iPhone', 'ANYCONNECT'],
    ['Clavister OneConnect VPN', 'CLAVISTER'],
    ['AnyLink Secure Client 1', 'ANYLINK'],
    ['Cisco SVC IPPhone Client v1', 'IPPHONE'],
    ['Mozilla/5.0', 'UNKNOWN'],
    ['', 'UNKNOWN'],
  ])('%s is %s', (userAgent, name) => expect(classifyAgent(userAgent).name).toBe(name));
  it('knows iOS', () => {
    expect(classifyAgent('Cisco AnyConnect VPN Agent for Apple iPad').ios).toBe(true);
    expect(classifyAgent('Cisco AnyConnect VPN Agent for Windows').ios).toBe(false);
  });
});
