/** What bundle.cjs is made from and does when it is loaded: by `node bin/worker.cjs worker …`, or by bin/run.js with the same words. */
import { runWorker } from './entry.js';

void runWorker(process.argv.slice(3));
