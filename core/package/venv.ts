/** A virtual environment of Python and the interpreter that it belongs to: what is taken of both. */

/** What `pyvenv.cfg` says; keys in lower case. */
export function parseVenvSettings(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const [, key, value] = /^\s*([^=]+?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      return key === undefined ? [] : [[key.toLowerCase(), value!] as const];
    }),
  );
}

/** `3.11` of `version` (venv) or `version_info` (virtualenv, uv); null where neither is told. */
export function venvVersion(settings: ReadonlyMap<string, string>): string | null {
  const text = settings.get("version_info") ?? settings.get("version") ?? "";
  return /^(\d+\.\d+)/.exec(text)?.[1] ?? null;
}

/**
 * Whether a file of the standard library (by its path from `lib/pythonX.Y`) goes along: not tests,
 * programs with windows, what is for building other Pythons, nor packages, which the virtual
 * environment has its own of.
 */
export function isPackedOfLibrary(path: string): boolean {
  const [top = "", second = ""] = path.split("/");
  if (leftOut.has(top) || top.startsWith("config-")) return false;
  if (/\.opt-\d\.pyc$/.test(path)) return false;
  return !((top === "lib2to3" || top === "unittest") && /^tests?$/.test(second)) &&
    !/^(?:ctypes|distutils|sqlite3)\/tests?\//.test(path);
}

const leftOut = new Set([
  ...["site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo"],
  ...["ensurepip", "EXTERNALLY-MANAGED"],
]);

/** Whether a file of the virtual environment goes along: not what leads back to its machine. */
export function isPackedOfVenv(path: string): boolean {
  return path !== "pyvenv.cfg" && path !== "lib64" && path !== ".lock" && path !== ".gitignore" &&
    !/^bin\/(?:activate.*|Activate.ps1|deactivate.*|pydoc\.bat|python[\d.]*t?)$/.test(path);
}

/** Folders whose libraries belong to the operating system: every machine has its own. */
export function isSystemFolder(folder: string): boolean {
  return /^\/(?:usr\/)?(?:lib|lib32|lib64|libx32)(?:\/|$)/.test(folder) ||
    /^\/usr\/local\/lib(?:64)?\/?$/.test(folder);
}

/** Libraries of the C library itself, which no Linux is without. */
export function isOfCLibrary(name: string): boolean {
  return /^(?:ld-linux|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnsl|libgcc_s|libcrypt)\b/
    .test(name);
}
