/** A Python with the packages that a comparison needs. */

export type FoundPython = { readonly path: string } | { readonly missing: string };

/**
 * The Python of `WQX_TEST_PYTHON`, else `python3` on PATH, if it imports all modules;
 * otherwise what is missing and what would do.
 */
export function findPython(modules: readonly string[]): FoundPython {
  const path = Deno.env.get("WQX_TEST_PYTHON") ?? "python3";
  const remedy = `set WQX_TEST_PYTHON to a Python that imports ${modules.join(", ")}`;
  try {
    const { success, stderr } = new Deno.Command(path, {
      args: ["-c", `import ${modules.join(", ")}`],
      stdin: "null",
    }).outputSync();
    if (success) return { path };
    const why = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    return { missing: `${path}: ${why}; ${remedy}` };
  } catch (error) {
    return { missing: `${path}: ${error instanceof Error ? error.message : error}; ${remedy}` };
  }
}
