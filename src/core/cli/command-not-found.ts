/** oclif's hook for words that are no command. */
import type { Hook } from '@oclif/core';
import { unknownCommand } from './failure.js';

const hook: Hook.CommandNotFound = async ({ id, config }) => {
  throw unknownCommand(id.split(':'), config.commandIDs);
};
export default hook;
