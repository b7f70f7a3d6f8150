/**
 * A back end as the login may rely on it: what a plugin gets wrong fails one login, with a sentence in the log that its
 * author understands.
 */
import type { Logger } from '../log.js';
import type { AccountingBackend, AuthBackend, Conversation, Step } from '../plugin-api/index.js';

/** Logs, scripts and files of accounting take names as lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f]/;

/** `backend` with its conversations checked; `log` is told what is thrown where nothing can be refused any more. */
export function checkedBackend(backend: AuthBackend, log: Logger): AuthBackend {
  return {
    ...(backend.configuresSessions === undefined ? {} : { configuresSessions: backend.configuresSessions }),
    begin: (login) => {
      try {
        return checkedConversation(backend.begin(login), log);
      } catch (error) {
        return { start: () => Promise.reject(error), answer: () => Promise.reject(error) };
      }
    },
    ...(backend.groups && { groups: async () => (await backend.groups?.()) ?? [] }),
    ...(backend.holderOf && { holderOf: (certificate) => backend.holderOf?.(certificate) ?? null }),
    close: () => backend.close?.(),
  };
}

/** Accounting as the sessions may rely on it: what it throws loses one record, and no session. */
export function checkedAccounting(backend: AccountingBackend, log: Logger): AccountingBackend {
  const told = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      log.error({ err: error }, 'the accounting back end cannot take a record');
    }
  };
  return {
    ...(backend.admit && { admit: async (session) => (await backend.admit?.(session)) ?? true }),
    start: (session) => told(() => backend.start(session)),
    interim: (session, usage) => told(() => backend.interim(session, usage)),
    stop: (session, usage, reason) => told(() => backend.stop(session, usage, reason)),
    close: () => backend.close?.(),
  };
}

function checkedConversation(conversation: Conversation, log: Logger): Conversation {
  return {
    start: async () => checkedStep(await conversation.start()),
    answer: async (secret) => checkedStep(await conversation.answer(secret)),
    end: () => {
      try {
        conversation.end?.();
      } catch (error) {
        log.error({ err: error }, 'the back end cannot end a conversation');
      }
    },
  };
}

/** Throws what is wrong with a step. The names in it may be secrets of users who mistook a prompt: they are not shown. */
function checkedStep(step: Step): Step {
  const problem = typeof step === 'object' && step !== null ? problemOf(step) : 'it is no object';
  if (problem !== null) throw new TypeError(`the back end answered with a step that is none: ${problem}`);
  return step;
}

/** Plugins in plain JavaScript have no compiler that would see to it. */
function problemOf(step: Step): string | null {
  switch (step.result) {
    case 'ok': {
      const { userName, groups, session = {} } = step;
      if (!isName(userName)) return 'userName must be a text without control characters';
      if (!Array.isArray(groups) || !groups.every(isName))
        return 'groups must be a list of texts without control characters';
      return typeof session === 'object' && session !== null ? null : 'session must be an object';
    }
    case 'prompt':
      if (typeof step.message !== 'string') return 'message must be a text';
      return Number.isInteger(step.counter) && step.counter >= 0 ? null : 'counter must be a number from 0';
    case 'fail':
      if (typeof step.message !== 'string') return 'message must be a text';
      return typeof step.retry === 'boolean' ? null : 'retry must be true or false';
    default:
      return 'result must be ok, prompt or fail';
  }
}

const isName = (value: unknown): boolean => typeof value === 'string' && !CONTROL.test(value);
