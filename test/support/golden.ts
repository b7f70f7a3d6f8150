/** Reads the recordings of real servers: requests and replies of one `openconnect --dump-http-traffic` run. */
import { readFileSync } from 'node:fs';

export interface RecordedRequest {
  readonly method: string;
  readonly url: string;
  /** By lower-case name, as node:http gives them. */
  readonly headers: Record<string, string>;
  readonly body: string;
}

export interface RecordedReply {
  readonly statusLine: string;
  readonly headers: readonly (readonly [string, string])[];
  /** The dump does not show a newline at the end of a body. */
  readonly body: string;
}

export interface Exchange {
  readonly request: RecordedRequest;
  readonly reply: RecordedReply;
}

const REPLY_START = /^Got (?:HTTP|CONNECT) response: /;

/** All exchanges of a recording, e.g. 'ocserv-1.5.0/login-group.txt'. */
export function readRecording(name: string): Exchange[] {
  const text = readFileSync(new URL(`../golden/recordings/${name}`, import.meta.url), 'utf8');
  const lines = text.split('\n').map((line) => line.replace(/^\[\d{4}-\d\d-\d\d [\d:]{8}\] /, ''));
  const exchanges: Exchange[] = [];
  for (let at = 0; at < lines.length; at++) {
    if (!REPLY_START.test(lines[at] ?? '')) continue;
    exchanges.push({ request: readRequest(lines, at), reply: readReply(lines, at) });
  }
  return exchanges;
}

/** The `>` lines right before the reply. */
function readRequest(lines: readonly string[], replyAt: number): RecordedRequest {
  let start = replyAt;
  while (lines[start - 1]?.startsWith('> ')) start--;
  const sent = lines.slice(start, replyAt).map((line) => line.slice(2));
  const blank = sent.indexOf('');
  const [method = '', url = ''] = (sent[0] ?? '').split(' ');
  const headers = Object.fromEntries(
    sent.slice(1, blank).map((line) => splitHeader(line.replace(/^[^:]+/, (n) => n.toLowerCase()))),
  );
  return { method, url, headers, body: sent.slice(blank + 1).join('\n') };
}

function readReply(lines: readonly string[], at: number): RecordedReply {
  const statusLine = (lines[at] ?? '').replace(REPLY_START, '');
  let end = at + 1;
  while (/^[A-Za-z0-9-]+: /.test(lines[end] ?? '')) end++;
  const headers = lines.slice(at + 1, end).map(splitHeader);
  const bodyStart = lines[end]?.startsWith('HTTP body length') ? end + 1 : end;
  let bodyEnd = bodyStart;
  while (lines[bodyEnd]?.startsWith('< ')) bodyEnd++;
  const body = lines
    .slice(bodyStart, bodyEnd)
    .map((line) => line.slice(2))
    .join('\n');
  return { statusLine, headers, body };
}

function splitHeader(line: string): readonly [string, string] {
  const colon = line.indexOf(': ');
  return [line.slice(0, colon), line.slice(colon + 2)];
}
