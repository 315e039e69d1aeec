/** `wqx package list` and `wqx package clean` */
import { RunError, UsageError } from "../core/errors.ts";
import { formatSizeMb, parseTimeMs } from "../core/units.ts";
import { interrupts } from "../io/signals.ts";
import { cacheFolder } from "../package/cache_folder.ts";
import { cleanKept, type Kept, listKept } from "../package/kept.ts";
import { type Command, defineCommand, outputOptions } from "./cli.ts";
import { type Column, outputMode, renderTable, type Stream } from "./render.ts";

export const packageListCommand: Command = defineCommand({
  name: "package list",
  purpose:
    "Show the environments that are unpacked on this machine, and what is kept to make more.",
  usage: ["[options]"],
  examples: [["package list", "the least recently used first"]],
  arguments: {},
  options: outputOptions,
  async run({ options, terminal: { stdout, stderr } }) {
    using signals = interrupts();
    const cache = cacheFolder();
    const kept = await listKept(cache, { signal: signals.stop });
    show(kept, stdout, outputMode(options));
    if (outputMode(options) === "table") {
      stderr.write(kept.length === 0 ? `Nothing is kept in ${cache}\n` : `in ${cache}\n`);
    }
    return 0;
  },
});

const olderThanUsualMs = 30 * 86_400_000;

export const packageCleanCommand: Command = defineCommand({
  name: "package clean",
  purpose: "Remove unpacked environments and cached packages that were not used for long.",
  usage: ["[options]"],
  examples: [
    ["package clean --dry-run", "what has not been used for 30 days"],
    ["package clean --older-than 7d", "remove what has not been used for a week"],
  ],
  arguments: {},
  options: {
    olderThan: {
      flags: "    --older-than TIME",
      describe: "remove what was not used for so long",
      parse: parseTimeMs,
      defaultShown: "30d",
      common: true,
    },
    all: { flags: "    --all", describe: "remove all that is not in use", common: true },
    dryRun: {
      flags: "    --dry-run",
      describe: "print what would go, remove nothing",
      common: true,
    },
    ...outputOptions,
  },
  async run({ options, terminal: { stdout, stderr } }) {
    if (options.all && options.olderThan !== undefined) {
      throw new UsageError("--all and --older-than exclude each other: give one of them");
    }
    using signals = interrupts();
    const { dryRun } = options;
    const olderThanMs = options.all ? 0 : options.olderThan ?? olderThanUsualMs;
    const removed = await clean(cacheFolder(), { olderThanMs, dryRun, signal: signals.stop });
    show(removed, stdout, outputMode(options));
    if (outputMode(options) === "table") {
      const bytes = removed.reduce((sum, one) => sum + one.bytes, 0);
      const size = formatSizeMb(bytes / 1024 ** 2);
      stderr.write(
        removed.length === 0
          ? "Nothing to remove\n"
          : dryRun
          ? `${size} would be removed\n`
          : `${size} removed\n`,
      );
    }
    return 0;
  },
});

async function clean(cache: string, options: Parameters<typeof cleanKept>[1]): Promise<Kept[]> {
  try {
    return await cleanKept(cache, options);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new RunError(`Cannot clean ${cache}: ${error.message}`);
  }
}

const columns: readonly Column[] = [
  { title: "kind" },
  { title: "name" },
  { title: "size", align: "right" },
  { title: "made" },
  { title: "last used" },
  { title: "from" },
];

function show(kept: readonly Kept[], stdout: Stream, mode: ReturnType<typeof outputMode>): void {
  switch (mode) {
    case "quiet":
      return;
    case "json":
      return stdout.write(kept.map((one) => JSON.stringify(one) + "\n").join(""));
    case "table":
      if (kept.length === 0) return;
      return stdout.write(renderTable(columns, kept.map(rowOf), stdout.colors));
  }
}

function rowOf(one: Kept): string[] {
  const size = formatSizeMb(one.bytes / 1024 ** 2);
  return [one.kind, one.name, size, day(one.madeMs), day(one.usedMs), one.from ?? ""];
}

/** `2026-11-23 14:05`, in the time of this machine. */
function day(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}
