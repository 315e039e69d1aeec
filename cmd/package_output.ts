/** What `wqx package create` tells of what it made, or would make. */
import type { PackageRecord } from "../core/package/record.ts";
import type { SizeReport } from "../core/package/size_report.ts";
import { formatBytes } from "../core/package/size_text.ts";
import { type Column, type OutputMode, renderTable, type Stream } from "./render.ts";

/** More packages than that say nothing: the rest are small. */
const packagesShownMax = 8;

/** The largest packages, and what leaving files out would save. */
export function renderSizes(report: SizeReport, stream: Stream): void {
  const { colors } = stream;
  const largest = report.packages.slice(0, packagesShownMax);
  stream.write(renderTable(
    [{ title: "largest packages" }, ...numberColumns],
    largest.map(({ name, bytes, files }) => [name, formatBytes(bytes), String(files)]),
    colors,
  ));
  if (report.savings.length === 0) return;
  stream.write(
    "\n" + renderTable(
      [{ title: "could be left out" }, ...numberColumns, { title: "by" }],
      report.savings.map(({ what, patterns, bytes, files }) => [
        what,
        formatBytes(bytes),
        String(files),
        patterns.map((pattern) => `--exclude '${pattern}'`).join(" "),
      ]),
      colors,
    ),
  );
}

const numberColumns: readonly Column[] = [
  { title: "size", align: "right" },
  { title: "files", align: "right" },
];

export interface DryRun {
  readonly records: readonly PackageRecord[];
  /** Whether the cache has it, by the order of the records. */
  readonly kept: readonly boolean[];
  readonly pip: readonly string[];
  readonly locals: readonly string[];
}

/** What would be installed; total and what is still to be downloaded below. */
export function renderDryRun(
  { records, kept, pip, locals }: DryRun,
  mode: OutputMode,
  stream: Stream,
): void {
  const sizeOf = (records: readonly PackageRecord[]) =>
    records.reduce((sum, { size }) => sum + (size ?? 0), 0);
  const missing = records.filter((_, i) => !kept[i]);
  if (mode === "json") {
    for (const [i, record] of records.entries()) {
      stream.write(JSON.stringify({ type: "package", ...record, inCache: kept[i] }) + "\n");
    }
    for (const requirement of pip) {
      stream.write(JSON.stringify({ type: "pip", requirement }) + "\n");
    }
    for (const path of locals) stream.write(JSON.stringify({ type: "local", path }) + "\n");
    return;
  }
  if (mode === "quiet") return;
  stream.write(renderTable(
    [
      { title: "package" },
      { title: "version" },
      { title: "build" },
      { title: "channel" },
      { title: "size", align: "right" },
      { title: "cache" },
    ],
    records.map(({ name, version, build, channel, subdir, size }, i) => [
      name,
      version,
      build,
      `${channel.slice(channel.lastIndexOf("/") + 1)}/${subdir}`,
      size === undefined ? "?" : formatBytes(size),
      kept[i] ? "yes" : "no",
    ]),
    stream.colors,
  ));
  stream.write(
    `\n${records.length} conda packages, ${formatBytes(sizeOf(records))}; ` +
      `to download: ${missing.length}, ${formatBytes(sizeOf(missing))}\n`,
  );
  if (pip.length > 0) stream.write(`pip chooses when they are there: ${pip.join(", ")}\n`);
  if (locals.length > 0) stream.write(`From this machine: ${locals.join(", ")}\n`);
}
