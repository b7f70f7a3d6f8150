/** The oclif hook `vpn:auth-backends`. */
import type { AuthBackendsHook } from '../../../core/plugin-api/index.js';
import { certificatePlugin } from './certificate-backend.js';

const hook: AuthBackendsHook = ({ register }) => register(certificatePlugin);
export default hook;
