/** Edits of ocpasswd files against a slow, obvious model; SHA-256-crypt against the system's crypt(3). */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  deleteUser,
  listUsers,
  lockUser,
  setGroups,
  setUser,
  unlockUser,
} from '../../src/core/users/ocpasswd-edit.js';
import { makeSha256Crypt, sha256CryptMatches } from '../../src/core/users/sha256-crypt.js';
import { crypt } from '../../src/plugins/auth-plain/src/crypt.js';

type User = { groups: string[]; hash: string; locked: boolean };

const name = fc.constantFrom('alice', 'bob', 'carol', 'jürgen');
const groups = fc.array(fc.constantFrom('staff', 'tech', 'lab'), { maxLength: 3 });
const hash = fc.constantFrom('$5$aaaa$1', '$6$bbbb$2', '$y$j9T$c$3');
const edit = fc.oneof(
  fc.record({ op: fc.constant('set' as const), name, hash, groups: fc.option(groups, { nil: undefined }) }),
  fc.record({ op: fc.constant('groups' as const), name, groups }),
  fc.record({ op: fc.constantFrom('lock' as const, 'unlock' as const, 'delete' as const), name }),
);

test('every sequence of edits does what a map would', () => {
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 30 }), (edits) => {
      const model = new Map<string, User>();
      let text = '';
      for (const step of edits) {
        const user = model.get(step.name);
        if (step.op === 'set') {
          model.set(step.name, { groups: step.groups ?? user?.groups ?? [], hash: step.hash, locked: false });
          text = setUser(text, step.name, step.hash, step.groups);
        } else if (user) {
          if (step.op === 'groups') user.groups = step.groups;
          if (step.op === 'lock') user.locked = true;
          if (step.op === 'unlock') user.locked = false;
          if (step.op === 'delete') model.delete(step.name);
          const change = { lock: lockUser, unlock: unlockUser, delete: deleteUser };
          text =
            step.op === 'groups' ? setGroups(text, step.name, step.groups) : change[step.op](text, step.name);
        }
      }
      expect(listUsers(text)).toEqual([...model].map(([userName, user]) => ({ userName, ...user })));
    }),
  );
});

test('lines of others keep their bytes and their order', () => {
  const line = fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll('\n', ' '))
    .filter((other) => listUsers(other).every((user) => user.userName !== 'alice'));
  fc.assert(
    fc.property(fc.array(line), fc.array(line), (before, after) => {
      const text = [...before, 'alice:*:$5$x$y', ...after].join('\n');
      expect(lockUser(text, 'alice')).toBe([...before, 'alice:*:!$5$x$y', ...after].join('\n'));
      expect(unlockUser(lockUser(text, 'alice'), 'alice')).toBe(text);
      expect(deleteUser(text, 'alice')).toBe([...before, ...after].join('\n'));
    }),
  );
});

test('our hashes are those of crypt(3), and only the right password matches', async () => {
  const password = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
    .filter((text) => !text.includes('\0'));
  await fc.assert(
    fc.asyncProperty(password, password, async (right, other) => {
      const stored = makeSha256Crypt(right);
      expect(await crypt(Buffer.from(right), stored)).toBe(stored);
      expect(sha256CryptMatches(other, stored)).toBe(other === right);
    }),
    { numRuns: 20 },
  );
});
