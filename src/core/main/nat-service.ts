/** Option `nat` as a whole: table, kernel switches, and what is said when it cannot be done. */
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { fileReason } from '../util/file-reason.js';
import { Forwarding } from './forwarding.js';
import { firewallDrops, installNat, type NatPlan, planNat, removeNat } from './nat.js';

export interface NatOptions {
  readonly config: ServerConfig;
  readonly runDir: string;
  readonly notice: (error: VpnError) => void;
  readonly log: Logger;
}

export class Nat {
  readonly #runDir: string;
  readonly #wanted: boolean;
  #plan: NatPlan;
  #forwarding: Forwarding;
  readonly #notice: (error: VpnError) => void;
  readonly #log: Logger;
  #on = false;

  constructor({ config, runDir, notice, log }: NatOptions) {
    this.#log = log;
    this.#wanted = config.default.nat;
    this.#runDir = runDir;
    this.#plan = planNat(config, runDir);
    this.#notice = notice;
    this.#forwarding = this.#switches();
  }

  get on(): boolean {
    return this.#on;
  }

  /** Never rejects for a machine that cannot do it: the server then runs without. */
  async start(): Promise<void> {
    if (!this.#wanted) return;
    try {
      await installNat(this.#plan);
      this.#on = true;
      this.#forward();
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const reason = missing ? 'nft is not installed' : fileReason(error);
      this.#notice(new VpnError('OCS_NO_NFT', { reason }, { cause: error }));
      await this.stop();
      return;
    }
    await this.#warnAboutFirewall();
  }

  /** The pools may have changed. Rejects with nft's words; the rules stay as they were then. */
  async reload(config: ServerConfig): Promise<void> {
    const plan = planNat(config, this.#runDir);
    if (!this.#on || JSON.stringify(plan) === JSON.stringify(this.#plan)) return;
    await installNat(plan);
    this.#plan = plan;
    // Switches that were turned on before are remembered in the run directory.
    this.#forwarding = this.#switches();
    this.#forward();
  }

  #forward(): void {
    const failed = this.#forwarding.enable();
    if (failed.length > 0) this.#notice(new VpnError('OCS_FORWARDING', { settings: failed.join(' ') }));
  }

  #switches(): Forwarding {
    const { ipv4, ipv6 } = this.#plan;
    return new Forwarding({ runDir: this.#runDir, ipv4, ipv6 });
  }

  async #warnAboutFirewall(): Promise<void> {
    try {
      const chains = await firewallDrops();
      if (chains.length === 0) return;
      const device = `${this.#plan.device}*`;
      this.#notice(new VpnError('OCS_FORWARD_DROPPED', { chains: chains.join(', '), device }));
    } catch (error) {
      this.#log.warn({ err: error }, 'other firewall rules cannot be looked at');
    }
  }

  /** Removes the table and puts the switches back. */
  async stop(): Promise<void> {
    if (!this.#on) return;
    this.#on = false;
    this.#forwarding.restore();
    await removeNat(this.#plan);
  }
}
