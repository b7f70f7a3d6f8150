/** A native process for each tunnel: it can be forked a thousand times from a busy node, and nothing is left. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const FORKS = 1000;
const script = join(import.meta.dirname, '../support/session-forks.ts');

test('a thousand tunnels: each answers, ends as it was told, and leaves neither process nor descriptor', () => {
  const folder = mkdtempSync(join(tmpdir(), 'session-forks-'));
  try {
    const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')];
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    execFileSync('openssl', ['req', '-x509', ...ec, ...files, '-subj', '/CN=vpn.test'], { stdio: 'ignore' });
    const output = execFileSync(process.execPath, [script, String(FORKS), folder], { encoding: 'utf8' });
    expect(JSON.parse(output)).toEqual({
      how: {
        'server-disconnect: dropped by the server': FORKS / 2,
        'server-disconnect: terminated by the server': FORKS / 4,
        "error: the session's process was ended by signal 9": FORKS / 4,
      },
      leaked: 0,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 120_000);
