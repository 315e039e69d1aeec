/** Small packed environments, laid out as conda-pack does it. */
import assert from "node:assert/strict";
import wrapper from "../../package/scripts/poncho_package_run.sh" with { type: "text" };
import type { TempFolder } from "./temp.ts";

/** As sent along with tasks, by whoever sends them. */
export const wrapperScript: string = wrapper;

/** Sourced by bash: what conda-pack's own does, as far as variables go. */
const activate = `prefix=$(cd "$(dirname "\${BASH_SOURCE[0]}")/.." && pwd -P)
export CONDA_PREFIX="$prefix" PATH="$prefix/bin:$PATH"
for script in "$prefix"/etc/conda/activate.d/*.sh; do
  if [ -e "$script" ]; then . "$script"; fi
done
`;

const shell = (text: string) => `#!/bin/sh\n${text}\n`;

/** Every environment has these: `hello` says where it is and what it was given. */
const basicFiles: Readonly<Record<string, string>> = {
  "bin/activate": activate,
  "bin/hello": shell('echo "hello from ${CONDA_PREFIX##*/}: $*"'),
  "conda-meta/history": "",
};

export interface EnvironmentParts {
  /** Beside the basic ones; what is in `bin` may be executed. */
  readonly files?: Readonly<Record<string, string>>;
  /** What `bin/conda-unpack` does, in the words of a shell. */
  readonly unpack?: string;
  /** A Python of this machine, to be in it with its standard library. */
  readonly python?: string;
}

/** Writes the archive `name` into the folder, and returns its path. */
export async function packEnvironment(
  folder: TempFolder,
  name: string,
  { files = {}, unpack = ":", python }: EnvironmentParts = {},
): Promise<string> {
  const place = `prefix-of-${name}`;
  const all = { ...basicFiles, ...files, "bin/conda-unpack": shell(unpack) };
  for (const [path, text] of Object.entries(all)) {
    const written = await folder.write(`${place}/${path}`, text);
    if (path.startsWith("bin/") && path !== "bin/activate") await Deno.chmod(written, 0o755);
  }
  const prefix = folder.join(place);
  if (python !== undefined) await run(python, "-c", copyPython, prefix);
  await run("tar", "-C", prefix, "-czf", folder.join(name), ".");
  await Deno.remove(prefix, { recursive: true });
  return folder.join(name);
}

/** Into the folder `argv[1]`: the interpreter, its shared library, the standard library. */
const copyPython = `
import os, shutil, sys, sysconfig
to, base = sys.argv[1], sys.base_prefix
name = "python%d.%d" % sys.version_info[:2]
def ignored(folder, names):
    return {n for n in names if n in ("test", "tests", "idlelib", "tkinter", "lib2to3",
        "site-packages", "__pycache__", "ensurepip") or n.startswith("config-")}
shutil.copytree(sysconfig.get_path("stdlib"), os.path.join(to, "lib", name), ignore=ignored)
os.makedirs(os.path.join(to, "lib", name, "site-packages"))
shutil.copy(os.path.realpath(sys.executable), os.path.join(to, "bin", name))
for link in ("python", "python3"):
    os.symlink(name, os.path.join(to, "bin", link))
library = os.path.join(sysconfig.get_config_var("LIBDIR"),
                       sysconfig.get_config_var("INSTSONAME") or "")
if library.endswith(".so.1.0"):
    shutil.copy(library, os.path.join(to, "lib"))
`;

async function run(program: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}
