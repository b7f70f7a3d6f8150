/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { plainPlugin } from './plain-backend.js';

const hook: AuthBackendsHook = ({ register }) => register(plainPlugin);
export default hook;
