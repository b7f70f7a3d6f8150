/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { pamPlugin } from './pam-backend.js';

const hook: AuthBackendsHook = ({ register }) => register(pamPlugin);
export default hook;
