/** Formats of environment archives, by the end of their names. */
import { UsageError } from "../errors.ts";

export const archiveFormats = ["tar.gz", "tar.zst", "tar"] as const;
export type ArchiveFormat = (typeof archiveFormats)[number];

const endings: Readonly<Record<string, ArchiveFormat>> = {
  "tar.gz": "tar.gz",
  tgz: "tar.gz",
  "tar.zst": "tar.zst",
  tzst: "tar.zst",
  tar: "tar",
};

const others = /\.(tar\.bz2|tbz2|tar\.xz|txz|zip|parcel|squashfs|no-archive)$/;

/** Format that a file's name asks for; a name without ending means `tar.gz`. Throws UsageError. */
export function formatOf(path: string): ArchiveFormat {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const ending = /\.(tar\.\w+|\w+)$/.exec(name)?.[1]?.toLowerCase();
  const known = ending === undefined ? undefined : endings[ending];
  if (known !== undefined) return known;
  const other = others.exec(name.toLowerCase());
  if (other !== null) {
    throw new UsageError(
      `wqx writes no .${other[1]}: name the archive .tar.gz (every worker reads it), .tar.zst ` +
        "(smaller, and unpacked faster) or .tar",
    );
  }
  return "tar.gz";
}

/** Levels of compression, and the one for a format when none is asked for. */
export const levels: Readonly<Record<ArchiveFormat, { min: number; max: number; usual: number }>> =
  {
    "tar.gz": { min: 0, max: 9, usual: 4 },
    "tar.zst": { min: 1, max: 19, usual: 3 },
    tar: { min: 0, max: 0, usual: 0 },
  };
