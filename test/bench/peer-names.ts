/** Other VPN programs that the benchmark knows (Debian packages of the same names). */
export const peerNames = ['wireguard-go', 'openvpn'] as const;
export type PeerName = (typeof peerNames)[number];
