/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { gssapiPlugin } from './gssapi-backend.js';

const hook: AuthBackendsHook = ({ register }) => register(gssapiPlugin);
export default hook;
