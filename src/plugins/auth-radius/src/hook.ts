/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { radiusAccounting } from './radius-accounting.js';
import { radiusPlugin } from './radius-backend.js';

const hook: AuthBackendsHook = ({ register, registerAccounting }) => {
  register(radiusPlugin);
  registerAccounting(radiusAccounting);
};
export default hook;
