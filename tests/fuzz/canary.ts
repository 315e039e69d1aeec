/** A parser that fails where four letters follow one another: a fuzzer that sees code run finds it. */

let reached = false;

export function isDeepPlaceReached(): boolean {
  return reached;
}

/** Throws for `fuzz`. */
export function deepPlace(bytes: Uint8Array): void {
  let at = 0;
  if (bytes[at] === 0x66) {
    at++;
    if (bytes[at] === 0x75) {
      at++;
      if (bytes[at] === 0x7a) {
        at++;
        if (bytes[at] === 0x7a) {
          reached = true;
          throw new Error("the deep place");
        }
      }
    }
  }
}
