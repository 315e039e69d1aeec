/** Doubles as C's printf writes them. */

/** `%.16g` with precision 16: no more digits than needed, an exponent only far from 1. */
export function general(value: number, precision: number): string {
  if (!Number.isFinite(value)) return unmeasured(value);
  const exponent = Number(value.toExponential(precision - 1).split("e")[1]);
  if (exponent >= -4 && exponent < precision) {
    return withoutZeros(value.toPrecision(precision), value);
  }
  return scientific(value, precision - 1, withoutZeros);
}

/** `%.6e` with 6 decimals: the exponent has a sign and two digits at least. */
export function scientific(
  value: number,
  decimals: number,
  trim: (digits: string, value: number) => string = signed,
): string {
  if (!Number.isFinite(value)) return unmeasured(value);
  const [digits = "", exponent = ""] = value.toExponential(decimals).split("e");
  return `${trim(digits, value)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** `%f`, with all digits of large numbers. */
export function fixed(value: number): string {
  if (!Number.isFinite(value)) return unmeasured(value);
  return Math.abs(value) < 1e21 ? signed(value.toFixed(6), value) : `${BigInt(value)}.000000`;
}

function withoutZeros(digits: string, value: number): string {
  return signed(digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits, value);
}

/** JavaScript drops the sign of minus zero. */
function signed(digits: string, value: number): string {
  return Object.is(value, -0) ? `-${digits}` : digits;
}

function unmeasured(value: number): string {
  return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
}
