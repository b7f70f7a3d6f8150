/** What happens for each tunnel from time to time: one timer for all. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Rounds } from '../../src/core/worker/rounds.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('calls each at its own period until it is ended', () => {
  const rounds = new Rounds();
  const [ten, three, other] = [vi.fn(), vi.fn(), vi.fn()];
  const end = rounds.every(10, ten);
  rounds.every(3, three);
  rounds.every(10, other);
  vi.advanceTimersByTime(9_999);
  expect([ten, three].map(({ mock }) => mock.calls.length)).toEqual([0, 3]);
  vi.advanceTimersByTime(1);
  expect(ten).toHaveBeenCalledTimes(1);
  end();
  vi.advanceTimersByTime(20_000);
  expect([ten, three, other].map(({ mock }) => mock.calls.length)).toEqual([1, 10, 3]);
});

it('has one timer for thousands and none for nobody', () => {
  const rounds = new Rounds();
  const call = vi.fn();
  const ends = Array.from({ length: 3000 }, () => rounds.every(10, call));
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(10_000);
  expect(call).toHaveBeenCalledTimes(3000);
  for (const end of ends) end();
  for (const end of ends) end();
  expect(vi.getTimerCount()).toBe(0);
  rounds.every(1, call);
  vi.advanceTimersByTime(1000);
  expect(call).toHaveBeenCalledTimes(3001);
});

it('spreads what came at different times', () => {
  const rounds = new Rounds();
  const times: number[] = [];
  for (let i = 0; i < 10; i++) {
    rounds.every(10, () => times.push(Date.now()));
    vi.advanceTimersByTime(1000);
  }
  vi.advanceTimersByTime(10_000);
  expect(new Set(times.slice(0, 10)).size).toBe(10);
});

it('does not call one that an earlier one of the same moment has ended', () => {
  const rounds = new Rounds();
  const second = vi.fn();
  let end = (): void => undefined;
  rounds.every(1, () => end());
  end = rounds.every(1, second);
  vi.advanceTimersByTime(5000);
  expect(second).not.toHaveBeenCalled();
});
