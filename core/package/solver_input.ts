/** A solve as the solver is told of it: two small channels' worth of repodata, and specs. */
import { dependencyText, isVirtual, type MatchSpec } from "./match_spec.ts";
import { withRanges } from "./prefix_ranges.ts";
import type { PackageRecord } from "./record.ts";
import type { Selection } from "./selection.ts";
import type { VirtualPackage } from "./virtual.ts";

/** Texts of `repodata.json`; and whose record a file name of it is. */
export interface SolverInput {
  readonly platform: string;
  readonly noarch: string;
  readonly specs: readonly string[];
  readonly records: ReadonlyMap<string, PackageRecord>;
}

/** Packages of ours among the solver's; `_wqx` can be no name that somebody else gives. */
export const askedName = "_wqx-asked", pinsName = "_wqx-pins";

/** Feature of records that are to be taken only if nothing else will do. */
const laterFeature = "_wqx-later";

export interface SolverQuestion {
  readonly selection: Selection;
  readonly specs: readonly MatchSpec[];
  readonly virtual: readonly VirtualPackage[];
  /** Limits for packages that are there anyway. */
  readonly pins: readonly MatchSpec[];
  /** See Selection. */
  readonly reach: number;
}

/**
 * The question itself, or with `asWhole` the same as one package that depends on all: then the
 * solver, which else leaves out what the specs exclude, says what it was that excluded it.
 */
export function solverInput(question: SolverQuestion, asWhole: boolean): SolverInput {
  const { selection, virtual, pins, reach } = question;
  const platform: Record<string, unknown> = {}, noarch: Record<string, unknown> = {};
  const records = new Map<string, PackageRecord>();
  for (const name of selection.names()) {
    for (const { record, later } of selection.candidatesOf(name, reach)) {
      // The solver reads no more than the name out of it; two channels may have the same file.
      const fileName = `${name}-${records.size}-0.conda`;
      records.set(fileName, record);
      const features = [record.trackFeatures ?? "", later ? laterFeature : ""];
      (record.subdir === "noarch" ? noarch : platform)[fileName] = {
        name,
        version: record.version,
        build: record.build,
        build_number: record.buildNumber,
        subdir: record.subdir,
        depends: record.depends.map(withRanges),
        constrains: record.constrains.map(withRanges),
        timestamp: record.timestamp,
        track_features: features.filter((feature) => feature !== "").join(" ") || undefined,
      };
    }
  }
  const own = (name: string, parts: Readonly<Record<string, unknown>>) => {
    noarch[`${name}-0-0.conda`] = {
      name,
      version: "0",
      build: "0",
      build_number: 0,
      subdir: "noarch",
      depends: [],
      ...parts,
    };
  };
  for (const { name, version, build } of virtual) own(name, { version, build });
  const texts = question.specs.map(solverText);
  if (pins.length > 0) {
    own(pinsName, { constrains: pins.map(solverText) });
    texts.push(pinsName);
  }
  if (asWhole) own(askedName, { depends: texts });
  return {
    platform: repodata(platform),
    noarch: repodata(noarch),
    specs: asWhole ? [askedName] : texts,
    records,
  };
}

function solverText(spec: MatchSpec): string {
  return withRanges(dependencyText(spec));
}

/** The records of an answer, without what is ours or virtual. */
export function solvedRecords(
  fileNames: readonly string[],
  { records }: SolverInput,
): readonly PackageRecord[] {
  return fileNames.flatMap((fileName) => {
    const record = records.get(fileName);
    if (record !== undefined) return [record];
    if (isVirtual(fileName) || fileName.startsWith("_wqx-")) return [];
    throw new Error(`The solver answered with ${fileName}, which it was not told of`);
  });
}

function repodata(packages: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ info: {}, packages: {}, "packages.conda": packages });
}
