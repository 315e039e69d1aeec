/** Writing the outputs of a task: whole or not at all, and clear about a full disk. */
import { TaskFailure } from "./failure.ts";

/** Error codes of a file system, or of a quota, that has no room left. */
const fullCodes = ["ENOSPC", "EDQUOT"];

/**
 * Writes a file of the sandbox under a temporary name, then renames it: a reader sees all of it or
 * none. Throws TaskFailure, the sandbox's fault, if there is no space left.
 */
export async function writeWhole(name: string, bytes: Uint8Array): Promise<void> {
  const part = `${name}.part`;
  try {
    await Deno.writeFile(part, bytes);
    await Deno.rename(part, name);
  } catch (error) {
    // Gives its space back: outcome.json has yet to be written.
    await Deno.remove(part).catch(() => {});
    if (!fullCodes.includes(String(Reflect.get(error as object, "code")))) throw error;
    throw new TaskFailure({
      whose: "sandbox",
      message: `No space left in the sandbox: cannot write ${name} (${bytes.length} bytes). ` +
        `Ask for more with "resources: {disk: …}", or free some on the worker's disk`,
    }, { cause: error });
  }
}
