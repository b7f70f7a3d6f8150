import { expect, test } from 'vitest';
import { ipcDocs } from '../../src/core/ipc/docs.js';
import { registry } from '../../src/core/ipc/registry.js';

test('docs/ipc.md is what the declarations say (write it with vitest -u)', async () => {
  await expect(ipcDocs()).toMatchFileSnapshot('../../docs/ipc.md');
});

test('every message has a section, and its secrets are marked', () => {
  const docs = ipcDocs();
  for (const { name, spec } of registry) {
    expect(docs).toContain(`\n### ${name}\n`);
    for (const secret of spec.secret ?? [])
      expect(docs).toMatch(new RegExp(`\\b${secret} \\| .*\\(secret\\)`));
  }
});
