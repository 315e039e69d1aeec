/** What pip and uv tell of distributions that they chose. */
import { RunError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import type { LockedDistribution } from "./lock.ts";
import { normalizedName } from "./requirement.ts";

/**
 * Reads the report of `pip install --dry-run --report`; projects of this machine are left out.
 * Throws a RunError if it is none.
 */
export function readPipReport(report: unknown): LockedDistribution[] {
  const items = isRecord(report) && Array.isArray(report.install) ? report.install : null;
  if (items === null) throw new RunError("pip wrote a report that has no list of distributions");
  return items.flatMap((item): LockedDistribution[] => {
    const metadata = isRecord(item) && isRecord(item.metadata) ? item.metadata : {};
    const from = isRecord(item) && isRecord(item.download_info) ? item.download_info : {};
    const { name, version } = metadata;
    if (typeof name !== "string" || typeof version !== "string") {
      throw new RunError("pip wrote a report that has a distribution without name or version");
    }
    if (isRecord(from.dir_info)) return [];
    const url = String(from.url);
    if (isRecord(from.vcs_info)) {
      const { vcs, commit_id: commit } = from.vcs_info;
      return [{ name: normalizedName(name), version, url: `${vcs}+${url}@${commit}`, sha256: [] }];
    }
    const hashes = isRecord(from.archive_info) && isRecord(from.archive_info.hashes)
      ? from.archive_info.hashes
      : {};
    const sha256 = typeof hashes.sha256 === "string" ? [hashes.sha256] : [];
    const direct = isRecord(item) && item.is_direct === true;
    return [{ name: normalizedName(name), version, url: direct ? url : null, sha256 }];
  }).sort(byName);
}

/** Lines ` + name==version (from URL)` that `uv pip install --dry-run` prints. */
export function readUvPlan(text: string): { readonly name: string; readonly version: string }[] {
  return [...text.matchAll(/^ \+ (\S+?)==(\S+)(?: \(from (.*)\))?$/gm)].flatMap(
    ([, name = "", version = "", from]) =>
      from === undefined ? [{ name: normalizedName(name), version }] : [],
  );
}

/** What `uv pip compile --generate-hashes` writes, a distribution with its hashes each. */
export function readUvCompiled(text: string): LockedDistribution[] {
  return text.replaceAll(/\\\n\s*/g, " ").split("\n").flatMap((line) => {
    const [, name, version] = /^([\w.-]+)==([^\s;]+)/.exec(line) ?? [];
    if (name === undefined || version === undefined) return [];
    const sha256 = [...line.matchAll(/--hash=sha256:([0-9a-f]{64})/g)].map(([, hash]) => hash!);
    return [{ name: normalizedName(name), version, url: null, sha256: sha256.sort() }];
  }).sort(byName);
}

function byName(a: LockedDistribution, b: LockedDistribution): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
