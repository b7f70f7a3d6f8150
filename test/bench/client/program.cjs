// node program.cjs ADDON [ARGUMENT…] runs a program of this folder inside this `node`.
const { basename } = require('node:path');

const [addon, ...programArguments] = process.argv.slice(2);
process.exitCode = require(addon).run(basename(addon, '.node'), ...programArguments);
