/** Sizes of files, for people. */

/** `941 B`, `8.7 MB`, `1.5 GB`; a unit is 1024 of the one before. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let amount = bytes, unit = 0;
  // What would be rounded to 1024 belongs to the next one.
  while (amount >= 1023.5 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit === 0 || amount >= 99.95 ? Math.round(amount) : amount.toFixed(1)} ${units[unit]}`;
}
