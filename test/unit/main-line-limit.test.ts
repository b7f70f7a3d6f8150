/** Connections that fail: each has a line that says why, but those of a scanner do not fill the log. */
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LineLimit } from '../../src/core/main/line-limit.js';

const MINUTE_MS = 60_000;
const [DEBUG, WARN] = [20, 40];

let lines: { level: number; msg: string; n?: number; more?: number }[];
let limit: LineLimit;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  const write = (chunk: Buffer, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(chunk.toString()));
    done();
  };
  limit = new LineLimit(pino({ level: 'debug' }, new Writable({ write })), 3, 'more of them');
});
afterEach(() => vi.useRealTimers());

const fail = (times: number) => {
  for (let n = 0; n < times; n++) limit.warn({ n }, 'failed');
};
const warned = () => lines.filter(({ level }) => level === WARN).map(({ msg, n, more }) => [msg, n ?? more]);

it('tells so many in a minute, then how many more there were', () => {
  fail(10_000);
  expect(warned()).toEqual([0, 1, 2].map((n) => ['failed', n]));
  expect(lines.filter(({ level }) => level === DEBUG)).toHaveLength(9997);
  vi.advanceTimersByTime(MINUTE_MS);
  expect(warned().slice(3)).toEqual([['more of them', 9997]]);
});

it('tells them again in the next minute, and nothing of a minute in which all were told', () => {
  fail(3);
  vi.advanceTimersByTime(MINUTE_MS);
  fail(2);
  vi.advanceTimersByTime(MINUTE_MS);
  expect(warned()).toEqual([0, 1, 2, 0, 1].map((n) => ['failed', n]));
});
