/** Programs as files: where they are, and of which kind. */

/** The file that a shell would run for this word, or why there is none. */
export function findProgram(
  word: string,
  searchPath: string,
): { readonly path: string } | { readonly why: string } {
  if (word === "") return { why: "its name is empty" };
  if (word.includes("/")) {
    const trouble = troubleWith(word);
    return trouble === null ? { path: word } : { why: trouble };
  }
  let notExecutable: string | null = null;
  for (const folder of searchPath.split(":")) {
    const path = `${folder || "."}/${word}`;
    const trouble = troubleWith(path);
    if (trouble === null) return { path };
    if (trouble !== noFile) notExecutable ??= `${path}: ${trouble}`;
  }
  return { why: notExecutable ?? "no program of that name is in the folders of PATH" };
}

const noFile = "there is no such file";

function troubleWith(path: string): string | null {
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(path);
  } catch {
    return noFile;
  }
  if (!info.isFile) return "it is a folder, not a program";
  return (info.mode ?? 0) & 0o111 ? null : "it may not be executed: chmod +x it first";
}

/** `dynamic`, `static`, the `#!` line of a script, or `unknown`. */
export function executableType(path: string): string {
  try {
    using file = Deno.openSync(path);
    const head = new Uint8Array(4096);
    const text = new TextDecoder("latin1").decode(head.subarray(0, file.readSync(head) ?? 0));
    if (text.startsWith("#!")) return text.split("\n")[0]!.trim();
    if (!text.startsWith("\x7fELF")) return "unknown";
    // A program that is linked when it starts names the linker, near its beginning.
    return text.includes("/ld-") ? "dynamic" : "static";
  } catch {
    return "unknown";
  }
}
