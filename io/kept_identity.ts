/**
 * The identity that a user's managers keep from run to run, so that workers and tokens that know its
 * pin go on knowing it. Made at first use; nobody but the user may read it.
 */
import { dirname, join } from "node:path";
import { messageOf, UsageError } from "../core/errors.ts";
import { isPin } from "../core/pin.ts";
import { stateFolder } from "./state_folder.ts";
import type { TlsIdentity } from "./tls_identity.ts";

/** `pin` is kept as well: to reckon it takes a library that most runs never need. */
export interface PinnedIdentity extends TlsIdentity {
  readonly pin: string;
}

const fileName = "manager-identity.json";

/**
 * The identity in `folder`, made if there is none. Throws a UsageError if there is one that cannot
 * be used; where it cannot be kept, it is for this run only, and `warn` is told.
 */
export async function keptIdentity(
  warn: (line: string) => void,
  folder = stateFolder(),
): Promise<PinnedIdentity> {
  const path = join(folder, fileName);
  const there = read(path);
  if (there !== null) return there;
  const made = await freshIdentity();
  try {
    return keep(path, made);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    warn(
      `Cannot keep the manager's key in ${path}: ${
        messageOf(error)
      }; it is for this run only, and ` +
        "so are the tokens that workers join by",
    );
    return made;
  }
}

/** One for this run. */
export async function freshIdentity(): Promise<PinnedIdentity> {
  const { selfSignedIdentity } = await import("./tls_identity.ts");
  return await pinned(await selfSignedIdentity());
}

/** Any identity, with the pin of its key. */
export async function pinned(identity: TlsIdentity): Promise<PinnedIdentity> {
  const { ownPin } = await import("./tls.ts");
  return { ...identity, pin: ownPin(identity) };
}

/** `null`: there is none. */
function read(path: string): PinnedIdentity | null {
  const bad = (why: string) =>
    new UsageError(
      `Cannot use the manager's key in ${path}: ${why}; remove it to have another made`,
    );
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return null;
    }
    throw bad(messageOf(error));
  }
  const { mode } = Deno.statSync(path);
  if (((mode ?? 0) & 0o077) !== 0) throw bad("others may read it, so it is a secret no more");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad("it is no JSON");
  }
  const { key, certificate, pin } = Object(value);
  const whole = typeof key === "string" && typeof certificate === "string" &&
    key.includes("PRIVATE KEY") && certificate.includes("CERTIFICATE");
  if (!whole || typeof pin !== "string" || !isPin(pin)) {
    throw bad("it lacks key, certificate or pin");
  }
  return { key, certificate, pin };
}

/** Of two managers that begin at once, the first to have written its own wins. */
function keep(path: string, identity: PinnedIdentity): PinnedIdentity {
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const partial = Deno.makeTempFileSync({ dir: dirname(path), prefix: ".identity-" }); // mode 0600
  try {
    Deno.writeTextFileSync(partial, JSON.stringify(identity) + "\n");
    Deno.linkSync(partial, path);
    return identity;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    return read(path) ?? identity;
  } finally {
    Deno.removeSync(partial);
  }
}
