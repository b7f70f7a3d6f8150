/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { pamAccountingPlugin } from './pam-accounting.js';
import { pamPlugin } from './pam-backend.js';

const hook: AuthBackendsHook = ({ register, registerAccounting }) => {
  register(pamPlugin);
  registerAccounting(pamAccountingPlugin);
};
export default hook;
