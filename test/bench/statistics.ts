/** Order statistics of few values. */

/** The value below which a share `p` (0…1) of the ascending values lies; linear between neighbours. */
export function quantile(ascending: readonly number[], p: number): number {
  const position = (ascending.length - 1) * p;
  const low = Math.floor(position);
  const below = ascending[low] ?? Number.NaN;
  const above = ascending[Math.ceil(position)] ?? below;
  return below + (above - below) * (position - low);
}

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}
