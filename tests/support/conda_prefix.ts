/** Conda environments that rattler made, and the programs that look at them. */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { packagingPython, realChannel } from "./channel.ts";
import type { TempFolder } from "./temp.ts";

const script = fileURLToPath(new URL("../package/install_prefix.py", import.meta.url));

/** Output of a program that must succeed; all of its environment is `env`. */
export async function run(
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<string> {
  const { code, stdout, stderr } = await end([program, ...args], env, cwd);
  if (code === 0) return stdout;
  throw new Error(`${program} ${args.join(" ")}: code ${code}\n${stdout}${stderr}`);
}

/** As `run`, of a program that may fail. */
export async function end(
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", ...env },
    ...cwd !== undefined && { cwd },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** An environment in the folder with these packages of the tests' channel; its caches beside it. */
export async function installedPrefix(
  folder: TempFolder,
  specs: readonly string[],
): Promise<string> {
  const prefix = folder.join("made", "env");
  await Deno.mkdir(dirname(prefix), { recursive: true });
  const { url } = await realChannel();
  const home = folder.join("home");
  await run([packagingPython!, "-B", script, url, prefix, ...specs], {
    HOME: home,
    XDG_CACHE_HOME: home,
    RATTLER_CACHE_DIR: folder.join("cache"),
  });
  return prefix;
}

/** Extracts with GNU tar, as poncho_package_run does. */
export async function untar(archive: string, folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  await run(["tar", "-xf", archive, "-C", folder]);
  return folder;
}

/** Has the environment's own Python run its conda-unpack. */
export async function relocate(prefix: string): Promise<string> {
  return await run([`${prefix}/bin/python`, "-B", `${prefix}/bin/conda-unpack`, "-v"]);
}
