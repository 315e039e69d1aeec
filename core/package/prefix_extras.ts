/** Small files that an environment has besides its packages, as texts by path. */
import { quoted } from "../shell_words.ts";
import { shownUrl } from "./condarc.ts";
import type { PackageLock } from "./lock.ts";

/** Named so that it comes after those of packages. */
const variablesName = "zz-wqx-variables.sh";

/** What says in an environment how it was made: pins, variables, the specification. */
export function prefixExtras(lock: PackageLock): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  if (lock.pinned.size > 0) {
    const lines = [...lock.pinned].map(([name, version]) => `${name}=${version}\n`);
    files.set("conda-meta/pinned", lines.join(""));
  }
  if (lock.variables.size > 0) {
    const set = [...lock.variables].map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    const unset = [...lock.variables.keys()].map((name) => `unset ${name}\n`);
    files.set(`etc/conda/activate.d/${variablesName}`, set.join(""));
    files.set(`etc/conda/deactivate.d/${variablesName}`, unset.join(""));
  }
  // JSON is YAML too; poncho puts it in this place.
  files.set("conda_spec.yml", JSON.stringify(exactSpec(lock), null, 1) + "\n");
  return files;
}

/** A specification of exactly these packages, as `conda env export` writes one. */
function exactSpec({ conda, pip }: PackageLock): unknown {
  const names = conda.map(({ name, version, build }) => `${name}=${version}=${build}`);
  const requirements = pip.map(({ name, version, url }) =>
    url === null ? `${name}==${version}` : `${name} @ ${url}`
  );
  return {
    name: "base",
    channels: [...new Set(conda.map(({ channel }) => shownUrl(channel)))],
    dependencies: [...names, ...requirements.length > 0 ? [{ pip: requirements }] : []],
  };
}
