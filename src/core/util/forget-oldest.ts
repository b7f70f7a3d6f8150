/** Drops what was put in first until no more than `capacity` are left. A map whose keys are put in anew when used forgets the longest unused. */
export function forgetOldest<K>(known: Set<K> | Map<K, unknown>, capacity: number): void {
  for (const key of known.keys()) {
    if (known.size <= capacity) return;
    known.delete(key);
  }
}
