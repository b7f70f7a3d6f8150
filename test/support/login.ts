/** A login as secmod hands it to a back end. */
import type { LoginContext } from '../../src/core/plugin-api/index.js';

export const aLogin = (userName: string, changes: Partial<LoginContext> = {}): LoginContext => ({
  userName,
  groupName: '',
  certificate: null,
  remoteIp: '192.0.2.7',
  ourIp: '',
  vhost: '',
  userAgent: '',
  sessionId: '',
  signal: new AbortController().signal,
  deadline: 0,
  ...changes,
});
