/**
 * What would differ between two environments of the same lock: hashes and sizes of files that hold the path
 * of the folder in which they were made. They are taken out of the records that keep them; after a
 * move they would be wrong anyway.
 */
import { isRecord } from "../is_record.ts";

/** A record of `conda-meta` without the hashes of files that depend on the prefix. */
export function withoutPrefixHashes(text: string): string {
  const record: unknown = JSON.parse(text);
  if (!isRecord(record) || !isRecord(record.paths_data)) return text;
  const { paths } = record.paths_data;
  if (!Array.isArray(paths)) return text;
  const kept = paths.map((path: unknown) => {
    if (!isRecord(path)) return path;
    const { sha256_in_prefix: _inPrefix, ...rest } = path;
    if (path.path_type === "unix_python_entry_point") {
      const { sha256: _script, size_in_bytes: _size, ...bare } = rest;
      return bare;
    }
    return path.prefix_placeholder === undefined ? path : rest;
  });
  return JSON.stringify({ ...record, paths_data: { ...record.paths_data, paths: kept } });
}

/** A `RECORD` of a wheel without hashes of scripts, whose first line names the interpreter. */
export function withoutScriptHashes(text: string): string {
  return text.replaceAll(/^("?(?:\.\.\/)+bin\/[^,\n]*),sha256=[^,\n]*,\d+$/gm, "$1,,");
}
