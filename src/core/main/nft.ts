/** The nft program. */
import { spawn } from 'node:child_process';

/** Statements that remove a table of family inet whether or not it is there. */
export const dropTable = (table: string): string => `add table inet ${table}\ndelete table inet ${table}`;

/** Runs nft and returns its output. Rejects with its own words, or ENOENT when it is not installed. */
export function nft(args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let complaint = '';
    child.on('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    // nft may end before it has read everything; its exit status says what happened.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.on('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(complaint.trim().split('\n')[0] || `nft ended with status ${code}`));
    });
  });
}
