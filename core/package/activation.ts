/**
 * What activating an environment does to the variables of a process. Most of it is known without a
 * shell; what scripts of the environment do is the difference between the variables before and after
 * them.
 */

export type Environment = Readonly<Record<string, string>>;

/** Variables to set, and those to unset (null). */
export type Activation = Readonly<Record<string, string | null>>;

/** Variables as a process gets them, after an activation. */
export function activated(env: Environment, activation: Activation): Record<string, string> {
  const after = { ...env };
  for (const [name, value] of Object.entries(activation)) {
    if (value === null) delete after[name];
    else after[name] = value;
  }
  return after;
}

/**
 * What `bin/activate` does as poncho_package_run calls it, without the scripts of the environment:
 * an environment that is active already leaves PATH as it is.
 */
export function plainActivation(prefix: string, env: Environment): Activation {
  if (env.CONDA_PREFIX === prefix) return { PYTHONPATH: null };
  const folders = (env.PATH ?? systemPath).split(":");
  const before = env.CONDA_PREFIX;
  const kept = folders.filter((folder) => before === undefined || folder !== `${before}/bin`);
  return { PATH: [`${prefix}/bin`, ...kept].join(":"), CONDA_PREFIX: prefix, PYTHONPATH: null };
}

/** What a shell takes where PATH is not set. */
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Variables that `poncho/set_env` sets, if it does nothing else: lines such as
 * `export NAME=$1/poncho/data/NAME`. Null if only a shell can tell.
 */
export function dataVariables(text: string, prefix: string): Record<string, string> | null {
  const found: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (/^\s*(?:#.*)?$/.test(line)) continue;
    const [, name, quote, rest] =
      /^export ([A-Za-z_]\w*)=("?)\$1((?:\/[\w.+-]+)*)\2\s*$/.exec(line) ??
        [];
    if (name === undefined || quote === undefined || rest === undefined) return null;
    // Without quotes the shell splits nothing in an assignment either.
    found[name] = prefix + rest;
  }
  return found;
}

/**
 * For bash: reads the files given as arguments after the prefix, in order, with the arguments that
 * poncho_package_run gives them, and prints the variables that there are then, as `env -0` does.
 * What the files print goes to stderr.
 */
export const activationScript = `
exec 3>&1 1>&2
_wqx_prefix=$1
shift
for _wqx_file do
  case $_wqx_file in
  */poncho/set_env) . "$_wqx_file" "$_wqx_prefix" ;;
  *) . "$_wqx_file" "" ;;
  esac || { echo "$_wqx_file failed"; exit 1; }
done
exec /usr/bin/env -0 >&3
`;

/** The files of a shell's own, which are not part of what an environment does. */
const ofTheShell = new Set(["_", "SHLVL", "PWD", "OLDPWD", "BASH_ENV"]);

/** The variables that `env -0` printed; values may have several lines. */
export function parseEnvironment(printed: Uint8Array): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of new TextDecoder().decode(printed).split("\0")) {
    const equals = entry.indexOf("=");
    if (equals > 0) found[entry.slice(0, equals)] = entry.slice(equals + 1);
  }
  return found;
}

/** What has to be set and unset to get from one to the other. */
export function differenceOf(before: Environment, after: Environment): Activation {
  const found: Record<string, string | null> = {};
  for (const [name, value] of Object.entries(after)) {
    if (before[name] !== value && !ofTheShell.has(name)) found[name] = value;
  }
  for (const name of Object.keys(before)) {
    if (!Object.hasOwn(after, name) && !ofTheShell.has(name)) found[name] = null;
  }
  return found;
}
