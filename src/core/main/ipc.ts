/** What main needs of the IPC layer; the real one is channel.ts. */
import type { Channel, ChannelOptions, IpcListener } from '../ipc/api.js';
import type { Logger } from '../log.js';
import type { PeerCredentials } from '../native/types.js';

export interface Ipc {
  connect(path: string, options: ChannelOptions<'main', 'secmod'>): Promise<Channel<'main', 'secmod'>>;
  listen(options: {
    path: string;
    mode: number;
    self: 'main';
    log: Logger;
    knows(credentials: PeerCredentials): boolean;
    accept(role: 'main' | 'worker', credentials: PeerCredentials): ChannelOptions<'main', 'worker'> | null;
    onChannel(channel: Channel<'main', 'worker'>): void;
  }): IpcListener;
}
