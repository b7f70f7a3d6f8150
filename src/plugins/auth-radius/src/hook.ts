/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { radiusPlugin } from './radius-backend.js';

const hook: AuthBackendsHook = ({ register }) => {
  register(radiusPlugin);
};
export default hook;
