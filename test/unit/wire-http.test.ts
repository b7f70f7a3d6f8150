import { describe, expect, it } from 'vitest';
import {
  notFound,
  serializeReply,
  serviceUnavailable,
  unauthorized,
} from '../../src/core/wire/http-reply.js';
import { route } from '../../src/core/wire/urls.js';

describe('replies', () => {
  it('are the bytes of the protocol', () => {
    expect(serializeReply(notFound()).toString()).toBe(
      'HTTP/1.1 404 Not found\r\nContent-length: 50\r\nConnection: close\r\n\r\n<html><body><h1>404 Not Found</h1></body></html>\r\n',
    );
    expect(serializeReply(unauthorized('Cookie is not acceptable')).toString()).toBe(
      'HTTP/1.1 401 Cookie is not acceptable\r\nContent-Length: 0\r\n\r\n',
    );
    expect(serializeReply(serviceUnavailable('Server error')).toString()).toBe(
      'HTTP/1.1 503 Service Unavailable\r\nX-Reason: Server error\r\nContent-Length: 0\r\n\r\n',
    );
  });
  it('echo HTTP/1.0', () => expect(serializeReply(notFound(), 0).toString()).toMatch(/^HTTP\/1\.0 404 /));
});

describe('route', () => {
  it.each([
    ['GET', '/', 'auth'],
    ['GET', '/?secret', 'auth'],
    ['GET', '/auth', 'auth'],
    ['GET', '/auth/x', 'auth'],
    ['GET', '/authx', 'not-found'],
    ['GET', '/VPN?x=1', 'auth'],
    ['GET', '/1/index.html', 'stub'],
    ['GET', '/+CSCOT+/translation-table?textdomain=AnyConnect', 'stub'],
    ['GET', '/VPNManifest.xml', 'stub'],
    ['GET', '/group', 'not-found'],
    ['GET', '/cert.pem', 'not-found'],
    ['POST', '/', 'auth'],
    ['POST', '/auth?x', 'auth'],
    ['POST', '/group', 'auth'],
    ['PUT', '/', 'not-found'],
    ['DELETE', '/auth', 'not-found'],
    ['CONNECT', '/CSCOSSLC/tunnel', 'tunnel'],
    ['CONNECT', 'CSCOSSLC/tunnel', 'tunnel'],
    ['CONNECT', 'example.com:443', 'not-found'],
    ['GET', '/CSCOSSLC/tunnel', 'not-found'],
  ])('%s %s is %s', (method, url, kind) => expect(route(method, url, false).kind).toBe(kind));
  it('takes no unknown POST while a login is in progress', () => {
    expect(route('POST', '/group', true).kind).toBe('not-found');
    expect(route('POST', '/auth', true).kind).toBe('auth');
  });
});
