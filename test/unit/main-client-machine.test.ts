import { describe, expect, it } from 'vitest';
import { messages } from '../../src/core/ipc/messages.js';
import {
  type ClientEvent,
  type ClientState,
  rows,
  step,
  validate,
} from '../../src/core/main/main-client.machine.js';

const STATES: ClientState[] = ['INACTIVE', 'INIT', 'COMPLETED', 'FAILED', 'CLOSED'];

describe('the client table of main', () => {
  it('is sound, and the check finds planted faults', () => {
    expect(validate()).toEqual([]);
    expect(validate([...rows, { in: 'INIT', on: 'opened', to: 'FAILED', story: '' }])).toEqual([
      'INIT on opened: two rows',
    ]);
    expect(validate(rows.filter((row) => row.to !== 'COMPLETED'))).toEqual(['COMPLETED: unreachable']);
  });

  it('lets every state be closed but CLOSED', () => {
    expect(STATES.filter((state) => step(state, 'closed') === null)).toEqual(['CLOSED']);
  });

  it('reaches COMPLETED only through a cookie that secmod accepted', () => {
    const events: ClientEvent[] = ['cookie', 'opened', 'refused', 'closed'];
    const into = STATES.flatMap((state) =>
      events.filter((event) => step(state, event) === 'COMPLETED').map((event) => [state, event]),
    );
    expect(into).toEqual([['INIT', 'opened']]);
  });

  it('names only states that exist in the messages that main receives', () => {
    for (const [name, spec] of Object.entries(messages)) {
      const forMain = [spec.to].flat().includes('main' as never);
      if (!forMain || !('when' in spec)) continue;
      for (const state of spec.when) expect(STATES, name).toContain(state);
    }
  });
});
