/** Finds out what an environment does to the variables of a process that runs in it. */
import { RunError } from "../core/errors.ts";
import {
  activated,
  type Activation,
  activationScript,
  dataVariables,
  differenceOf,
  type Environment,
  parseEnvironment,
  plainActivation,
} from "../core/package/activation.ts";
import { findProgram } from "../io/programs.ts";

/** What the text of every `bin/activate` of a packed environment has, and of no other. */
const knownActivate = /CONDA_PREFIX/;
/** Scripts set variables; one that takes longer waits for something that never comes. */
const scriptsTimeoutMs = 60_000;

const known = new Map<string, Promise<Activation>>();

/**
 * What running in the environment at `prefix` (ready, absolute) sets and unsets, for a process that
 * has the variables `env`. Scripts of the environment run once in a process of ours, by bash. Throws
 * RunError if one of them fails.
 */
export function activationOf(
  prefix: string,
  env: Environment = Deno.env.toObject(),
): Promise<Activation> {
  const key = [prefix, env.PATH, env.CONDA_PREFIX].join("\0");
  const before = known.get(key);
  if (before !== undefined) return before;
  const found = find(prefix, env);
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}

async function find(prefix: string, env: Environment): Promise<Activation> {
  const data = textOf(`${prefix}/poncho/set_env`);
  const variables = data === null ? {} : dataVariables(data, prefix);
  const setEnv = variables === null ? [`${prefix}/poncho/set_env`] : [];
  const own = textOf(`${prefix}/bin/activate`) ?? "";
  if (own !== "" && !knownActivate.test(own)) {
    const after = await byScripts(prefix, activated(env, { PYTHONPATH: null }), [
      `${prefix}/bin/activate`,
      ...setEnv,
    ]);
    return { ...differenceOf(env, after), PYTHONPATH: null, ...variables };
  }
  const plain = plainActivation(prefix, env);
  const isActive = env.CONDA_PREFIX === prefix;
  const scripts = [...isActive ? [] : activateScripts(prefix), ...setEnv];
  if (scripts.length === 0) return { ...plain, ...variables };
  const after = await byScripts(prefix, activated(env, plain), scripts);
  return { ...plain, ...differenceOf(env, after), ...variables };
}

function activateScripts(prefix: string): string[] {
  const folder = `${prefix}/etc/conda/activate.d`;
  try {
    // In the order of a shell's pattern in the C locale.
    return [...Deno.readDirSync(folder)].map(({ name }) => name)
      .filter((name) => name.endsWith(".sh") && !name.startsWith(".")).sort()
      .map((name) => `${folder}/${name}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw error;
  }
}

function textOf(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return null;
  }
}

async function byScripts(
  prefix: string,
  env: Environment,
  scripts: readonly string[],
): Promise<Environment> {
  const systemPath = "/usr/bin:/bin";
  const bash = findProgram("bash", `${systemPath}:${Deno.env.get("PATH") ?? ""}`);
  if ("why" in bash) {
    throw new RunError(
      `Cannot activate ${prefix}: it has scripts for bash (${scripts[0]}), and there is no bash ` +
        `here: ${bash.why}`,
    );
  }
  const { success, stdout, stderr, signal } = await new Deno.Command(bash.path, {
    args: ["--norc", "--noprofile", "-c", activationScript, "bash", prefix, ...scripts],
    clearEnv: true,
    env: { ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(scriptsTimeoutMs),
  }).output();
  if (success && stdout.length > 0) return parseEnvironment(stdout);
  const said = new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join("; ");
  const why = signal === "SIGTERM" ? `no end within ${scriptsTimeoutMs / 1000} s` : said;
  throw new RunError(
    `Cannot activate ${prefix}: one of its scripts failed: ${why || "no word why"}`,
  );
}
