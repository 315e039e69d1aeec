/** Tests that need what a machine may not have: left out, and the reason said. */

/**
 * Name and `ignore` for `Deno.test({ ...needs(ok, reason, name), fn })`. Where the need is not met,
 * prints `skipped: NAME: REASON` for the test command's summary.
 */
export function needs(
  ok: boolean,
  reason: string,
  name: string,
): { readonly name: string; readonly ignore: boolean } {
  if (!ok) Deno.stdout.writeSync(new TextEncoder().encode(`skipped: ${name}: ${reason}\n`));
  return { name, ignore: !ok };
}
