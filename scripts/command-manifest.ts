/**
 * Writes oclif.manifest.json: names, flags and texts of all commands. Without it oclif loads every command, with most
 * of the program, to find the one that was asked for; that takes longer than the command itself. Part of the build.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Plugin } from '@oclif/core';

const root = join(import.meta.dirname, '..');
const plugin = new Plugin({ root, ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();
writeFileSync(join(root, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest)}\n`);
