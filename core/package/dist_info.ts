/** What `site-packages/NAME.dist-info` tells of a Python package. */
import { isRecord } from "../is_record.ts";

/** Name and version in the folder's name, `numpy-1.26.4.dist-info`; null for other folders. */
export function distInfoName(folder: string): { name: string; version: string } | null {
  const found = /^(.+)-([^-]+)\.dist-info$/.exec(folder);
  return found === null ? null : { name: found[1]!, version: found[2]! };
}

/** Paths that a RECORD lists, from the prefix; those outside of it are left out. */
export function recordedPaths(record: string, sitePackages: string): string[] {
  return record.split("\n").flatMap((line) => {
    const found = /^(?:"((?:[^"]|"")*)"|([^,]+)),/.exec(line.trim());
    const path = found?.[1]?.replaceAll('""', '"') ?? found?.[2];
    if (path === undefined || path.startsWith("/")) return [];
    const parts: string[] = sitePackages.split("/");
    for (const part of path.split("/")) {
      if (part === "..") {
        if (parts.pop() === undefined) return [];
      } else if (part !== "." && part !== "") parts.push(part);
    }
    return [parts.join("/")];
  });
}

/** Folder of the working copy if `direct_url.json` (PEP 610) says that it is editable, else null. */
export function editableSource(directUrl: string): string | null {
  let told: unknown;
  try {
    told = JSON.parse(directUrl);
  } catch {
    return null;
  }
  if (!isRecord(told) || !isRecord(told.dir_info) || told.dir_info.editable !== true) return null;
  const url = String(told.url ?? "");
  return url.startsWith("file://") ? decodeURIComponent(url.slice("file://".length)) : url;
}
