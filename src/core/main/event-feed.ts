/** Who wants to know when a session begins or ends. */
import type { SessionEvent } from './session-event.js';

export type EventListener = (event: SessionEvent) => void;

export class EventFeed {
  readonly #listeners = new Set<EventListener>();

  publish(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Returns the function that ends the subscription. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
