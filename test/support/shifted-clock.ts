/**
 * Preloaded into main and secmod (NODE_OPTIONS does not reach workers): their clock is off by the seconds in the file that
 * CLOCK_FILE names, from the moment that it is written. Time that only goes forward (timers) stays as it is.
 */
import { readFileSync } from 'node:fs';

const file = process.env.CLOCK_FILE ?? '';
const LOOK_EVERY_MS = 20;
const RealDate = Date;
let lookedMs = Number.NEGATIVE_INFINITY;
let offsetMs = 0;

function now(): number {
  if (performance.now() - lookedMs > LOOK_EVERY_MS) {
    offsetMs = Number(readFileSync(file, 'utf8')) * 1000;
    lookedMs = performance.now();
  }
  return RealDate.now() + offsetMs;
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
});
