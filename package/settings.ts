/** What this machine says about channels and about itself. */
import process from "node:process";
import { parse } from "yaml";
import { messageOf, UsageError } from "../core/errors.ts";
import { isRecord } from "../core/is_record.ts";
import { type ChannelSettings, type CondarcFile, readSettings } from "../core/package/condarc.ts";
import { type HostFacts, unknownHost } from "../core/package/virtual.ts";

/**
 * Settings from the condarc files that conda reads, in its order, and from CONDA_* variables.
 * Throws UsageError that names the file or variable in which something is not right.
 */
export async function channelSettings(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<ChannelSettings> {
  const files: CondarcFile[] = [];
  for (const path of await condarcPaths(env, home)) {
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (error) {
      if (isAbsent(error)) continue;
      throw new UsageError(`Cannot read ${path}: ${messageOf(error)}`);
    }
    try {
      files.push({ path, value: withVariables(parse(text), env) });
    } catch (error) {
      throw new UsageError(`${path} is no YAML: ${messageOf(error).split("\n")[0]}`);
    }
  }
  return readSettings(files, env);
}

/**
 * What can be known of this machine and holds for its like. Processor and GPU are left out:
 * workers have others.
 */
export function hostFacts(): HostFacts {
  if (Deno.build.os !== "linux") return unknownHost;
  // The C library that Deno itself runs on; null where it is another than glibc.
  const report: unknown = process.report.getReport();
  const header = isRecord(report) && isRecord(report.header) ? report.header : {};
  const { glibcVersionRuntime: glibc } = header;
  return {
    ...unknownHost,
    glibc: typeof glibc === "string" ? glibc : null,
    kernel: Deno.osRelease(),
  };
}

/** The least important first. */
async function condarcPaths(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<string[]> {
  const places: string[] = [];
  const folder = async (path: string) => {
    places.push(`${path}/.condarc`, `${path}/condarc`, ...await filesIn(`${path}/condarc.d`));
  };
  await folder("/etc/conda");
  await folder("/var/lib/conda");
  if (env.CONDA_ROOT) await folder(env.CONDA_ROOT);
  await folder(`${env.XDG_CONFIG_HOME || `${home}/.config`}/conda`);
  await folder(`${home}/.conda`);
  places.push(`${home}/.condarc`);
  if (env.CONDA_PREFIX) await folder(env.CONDA_PREFIX);
  if (env.CONDARC) places.push(env.CONDARC);
  return [...new Set(places)];
}

async function filesIn(folder: string): Promise<string[]> {
  try {
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    return names.filter((name) => /\.ya?ml$/.test(name)).sort().map((name) => `${folder}/${name}`);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw new UsageError(`Cannot read ${folder}: ${messageOf(error)}`);
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}

/** `$NAME` and `${NAME}` in texts, as conda replaces them. */
function withVariables(value: unknown, env: Readonly<Record<string, string | undefined>>): unknown {
  if (typeof value === "string") {
    return value.replace(
      /\$(?:\{(\w+)\}|(\w+))/g,
      (whole, braced, bare) => env[braced ?? bare] ?? whole,
    );
  }
  if (Array.isArray(value)) return value.map((item) => withVariables(item, env));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, withVariables(item, env)]),
  );
}
