/** `vpn ctl events`: prints each event until the server ends or Ctrl-C. */
import { followEvents } from './client.js';
import { type CtlFlags, reportErrors, socketOf } from './command.js';
import { untilInterrupted } from './interrupt.js';
import { usersJson } from './occtl-json.js';
import type { EventData } from './results.js';
import { eventText } from './text.js';

export type EventFormat = 'json' | 'occtl' | 'text';

/** JSON: one line per event. occtl: the session under occtl's keys, with `event`. */
export async function runEvents(flags: CtlFlags, format: EventFormat): Promise<void> {
  await reportErrors(flags, () =>
    untilInterrupted(async (interrupted) => {
      for await (const event of followEvents(socketOf(flags), interrupted))
        process.stdout.write(`${render(event, format)}\n`);
    }),
  );
}

function render(event: EventData, format: EventFormat): string {
  if (format === 'text') return eventText(event);
  if (format === 'json') return JSON.stringify(event);
  const [user] = usersJson([event.user]);
  return JSON.stringify({ event: event.type, reason: event.reason, ...user });
}
