/** The login table is sound, and agrees with the `when` of the messages. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { messages } from '../../src/core/ipc/messages.js';
import {
  type LoginEvent,
  type LoginState,
  loginEvents,
  loginStates,
  loginTable,
  stepLogin,
} from '../../src/core/secmod/secmod-login.machine.js';

const possible = (state: LoginState): LoginEvent[] =>
  loginEvents.filter((event) => loginTable.some((row) => row.on === event && row.in.includes(state)));

test('no state has two rows for one event, every event has one, every state can be left for NONE', () => {
  for (const state of loginStates) {
    const rows = loginTable.filter((row) => row.in.includes(state)).map((row) => row.on);
    expect(new Set(rows).size).toBe(rows.length);
    expect(stepLogin(state, 'abandon').to).toBe('NONE');
  }
  expect(new Set(loginTable.map((row) => row.on))).toEqual(new Set(loginEvents));
});

test('states that the messages name exist, and those that take an answer are theirs', () => {
  const { SEC_AUTH_INIT, SEC_AUTH_CONT } = messages;
  for (const state of [...SEC_AUTH_INIT.when, ...SEC_AUTH_CONT.when]) expect(loginStates).toContain(state);
  expect(loginStates.filter((state) => possible(state).includes('answer'))).toEqual(SEC_AUTH_CONT.when);
});

test('an impossible event is an error', () => {
  expect(() => stepLogin('COMPLETED', 'answer')).toThrow(/impossible/);
  expect(() => stepLogin('FAILED', 'accept')).toThrow(/impossible/);
});

test('whatever happens: one end per conversation, no cookie after a failure, none without an answer or first step', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 40 }), (choices) => {
      let state: LoginState = 'NONE';
      let running = 0;
      for (const choice of choices) {
        const events = possible(state);
        const event = events[choice % events.length] ?? 'abandon';
        const { to, effects } = stepLogin(state, event);
        if (effects.includes('insert')) running++;
        if (effects.includes('end')) running--;
        expect(running).toBe(to === 'INIT' || to === 'CONT' ? 1 : 0);
        if (effects.includes('complete')) expect(['INIT', 'CONT']).toContain(state);
        if (state === 'FAILED') expect(to).toBe('NONE');
        state = to;
      }
    }),
  );
});
