/**
 * A worker in a process of its own, for ipc-channel.test.ts: connects to argv[2], asks main for the cookie's
 * session, writes to the descriptor that comes with it, reports, and leaves when main closes.
 */
import { writeSync } from 'node:fs';
import { registerHooks } from 'node:module';

// The sources import each other as .js; this process runs them as they are.
registerHooks({
  resolve(specifier, context, next) {
    const isSource = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
    return next(isSource ? specifier.replace(/\.js$/, '.ts') : specifier, context);
  },
});
const { connectIpc } = await import('../../src/core/ipc/channel.ts');
const { recordingLog } = await import('./ipc-support.ts');

const channel = await connectIpc(process.argv[2], {
  self: 'worker',
  peer: 'main',
  log: recordingLog().log,
  handlers: {
    UDP_FD({ data }, { fds }) {
      writeSync(fds[0], data);
      channel.send('CLIENT_CLOSED', {
        client: 1,
        reason: 'user-disconnect',
        detail: 'last words',
        bytesIn: 2 ** 40,
        bytesOut: 0,
        packetsIn: 0,
        packetsOut: 0,
        drops: { tooBig: 0, malformed: 0, source: 0, rateLimit: 0, streamFull: 0, tunFull: 0, replay: 0 },
      });
    },
  },
  onClose: () => process.exit(7),
});
const { body, fds } = await channel.call('AUTH_COOKIE_REQ', {
  client: 1,
  cookie: new Uint8Array(32).fill(9),
  hostname: 'host',
  ipv4: true,
  ipv6: false,
});
writeSync(fds[0], `${body.reply} ${body.reason}`);
