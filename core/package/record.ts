/** One package of a conda channel, as repodata tells of it. */

export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  readonly build: string;
  readonly buildNumber: number;
  /** `linux-64`, `noarch`, …: the folder of the channel that it lies in. */
  readonly subdir: string;
  readonly noarch: "python" | "generic" | null;
  /** Match specs as in `depends`: name, version and build with blanks between. */
  readonly depends: readonly string[];
  /** What a package that is there anyway must match. */
  readonly constrains: readonly string[];
  /** `name-version-build.conda` or `.tar.bz2`. */
  readonly fileName: string;
  /** Where it is downloaded from: http(s) or file. */
  readonly url: string;
  /** The channel as a URL without subdir and last slash. */
  readonly channel: string;
  /** Lower-case hex; what the channel tells of them. */
  readonly sha256?: string;
  readonly md5?: string;
  /** Of the archive, in bytes. */
  readonly size?: number;
  /** Milliseconds since 1970. */
  readonly timestamp?: number;
  readonly trackFeatures?: string;
  /** Of a package of Python itself, where it is not `lib/pythonX.Y/site-packages`. */
  readonly pythonSitePackagesPath?: string;
  readonly license?: string;
}
