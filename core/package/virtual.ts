/**
 * Virtual packages: facts about the machines that are to run an environment, which packages of
 * channels depend on as if they were packages (`__glibc >=2.17`). They are never installed.
 */
import { UsageError } from "../errors.ts";
import type { Platform } from "./platform.ts";

export interface VirtualPackage {
  /** With its two underscores. */
  readonly name: string;
  readonly version: string;
  readonly build: string;
}

/** What is known of the oldest machine that is to run it; null: not known, or not there. */
export interface HostFacts {
  /** `2.28`. */
  readonly glibc: string | null;
  /** Release of the Linux kernel, as the system says it: `5.10.0-28-amd64`. */
  readonly kernel: string | null;
  /** Microarchitecture: `x86_64_v3`. */
  readonly archspec: string | null;
  /** The newest CUDA that the driver of its GPU knows. */
  readonly cuda: string | null;
  /** Version of macOS. */
  readonly osx: string | null;
}

export const unknownHost: HostFacts = {
  glibc: null,
  kernel: null,
  archspec: null,
  cuda: null,
  osx: null,
};

/**
 * Where nothing is known: what RHEL 8 and its kin have, the oldest that most sites still run, and
 * what packages of these days are built for.
 */
const assumed = { glibc: "2.28", kernel: "4.18", osx: "13.0" } as const;

/** The processor that every machine of a platform is at least. */
const baseline: Readonly<Record<Platform, string>> = {
  "linux-64": "x86_64",
  "linux-aarch64": "aarch64",
  "osx-64": "x86_64",
  "osx-arm64": "m1",
};

/** The option of `wqx package create` that says what workers have, by virtual package. */
export const virtualOptions: ReadonlyMap<string, string> = new Map([
  ["__glibc", "--glibc VERSION"],
  ["__linux", "CONDA_OVERRIDE_LINUX=VERSION"],
  ["__archspec", "CONDA_OVERRIDE_ARCHSPEC=NAME"],
  ["__cuda", "CONDA_OVERRIDE_CUDA=VERSION"],
  ["__osx", "CONDA_OVERRIDE_OSX=VERSION"],
]);

/** Names that `CONDA_OVERRIDE_…` may be about, without underscores. */
const overridable = ["glibc", "linux", "archspec", "cuda", "osx"] as const;

/**
 * The virtual packages of a platform's machines. `overrides` are by name without underscores, as
 * in `CONDA_OVERRIDE_GLIBC`; an empty value takes the package away. Throws UsageError on what is
 * no version.
 */
export function virtualPackages(
  platform: Platform,
  facts: HostFacts,
  overrides: ReadonlyMap<string, string> = new Map(),
): readonly VirtualPackage[] {
  const linux = platform.startsWith("linux-");
  const found = new Map<string, string>();
  if (linux) {
    found.set("linux", kernelVersion(facts.kernel) ?? assumed.kernel);
    found.set("glibc", facts.glibc ?? assumed.glibc);
  } else {
    found.set("osx", facts.osx ?? assumed.osx);
  }
  if (facts.cuda !== null && linux) found.set("cuda", facts.cuda);
  found.set("archspec", facts.archspec ?? baseline[platform]);
  for (const name of overridable) {
    const value = overrides.get(name);
    if (value === undefined) continue;
    if (value === "") found.delete(name);
    else found.set(name, value);
  }
  const packages: VirtualPackage[] = [{ name: "__unix", version: "0", build: "0" }];
  for (const [name, value] of found) {
    const pattern = name === "archspec" ? /^\w+$/ : /^\d+(?:\.\d+)*$/;
    if (!pattern.test(value)) {
      throw new UsageError(
        name === "archspec"
          ? `"${value}" is no microarchitecture for __archspec: one is written like x86_64_v3`
          : `"${value}" is no version for __${name}: one is written like 2.28`,
      );
    }
    const build = name === "archspec" ? value : "0";
    packages.push({ name: `__${name}`, version: name === "archspec" ? "1" : value, build });
  }
  return packages;
}

/** The digits that a kernel's release begins with: `5.10.0` of `5.10.0-28-amd64`. */
function kernelVersion(release: string | null): string | null {
  return /^\d+(?:\.\d+)*/.exec(release ?? "")?.[0] ?? null;
}
