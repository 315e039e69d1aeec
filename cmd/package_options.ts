/** Options of `wqx package create`; names of poncho's and conda-pack's mean what they mean there. */
import { UsageError } from "../core/errors.ts";
import { archiveFormats } from "../core/package/archive_format.ts";
import { channelPriorities } from "../core/package/condarc.ts";
import { platforms } from "../core/package/platform.ts";
import { didYouMean } from "../core/suggest.ts";
import { parseCount } from "../core/units.ts";
import type { OptionRows } from "./cli.ts";
import { filled, ignoredGroup } from "./option_values.ts";

/** One of these words. */
function oneOf<const W extends string>(what: string, words: readonly W[]): (text: string) => W {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    const hint = didYouMean(text, words) || `: the known ones are ${words.join(", ")}`;
    throw new UsageError(`"${text}" is no ${what}${hint}`);
  };
}

/** `2.28`. */
function parseVersion(text: string): string {
  if (/^\d+(?:\.\d+)*$/.test(text)) return text;
  throw new UsageError(`"${text}" is no version: write it like 2.28`);
}

/** Of zstd; that of the format is checked when the archive is begun. */
const levelMax = 19;

/** Options of what is packed, and how. */
export const packingOptions = {
  exclude: {
    flags: "    --exclude PATTERN",
    describe: 'leave out files whose path matches, such as "*/tests/*"',
    parse: filled("the pattern"),
    repeatable: true,
    common: true,
  },
  include: {
    flags: "    --include PATTERN",
    describe: "take back what an --exclude left out",
    parse: filled("the pattern"),
    repeatable: true,
    group: "Archive",
  },
  level: {
    flags: "    --level N",
    describe: "how hard to compress",
    parse: (text: string) => parseCount(text, { max: levelMax }),
    defaultShown: "4, of tar.zst 3",
    group: "Archive",
  },
  format: {
    flags: "    --format FORMAT",
    describe: `${archiveFormats.join(", ")}; else OUT's ending says it`,
    parse: oneOf("format of archives", archiveFormats),
    group: "Archive",
  },
  ignoreEditable: {
    flags: "    --ignore-editable-packages",
    describe: "pay no heed to what is installed as editable",
    group: "Archive",
  },
} as const satisfies OptionRows;

export const createOptions = {
  dryRun: {
    flags: "    --dry-run",
    describe: "print what would be installed, make nothing",
    common: true,
  },
  lock: {
    flags: "    --lock FILE",
    describe: "write what was chosen, as YAML, or JSON if FILE ends so",
    parse: filled("the name"),
    common: true,
  },
  fromLock: {
    flags: "    --from-lock FILE",
    describe: "make what a lock says, with no SPEC: the same lock gives the same bytes",
    parse: filled("the name"),
    common: true,
  },
  fromPrefix: {
    flags: "    --from-prefix DIR",
    describe: "pack a conda environment that is there, with no SPEC",
    parse: filled("the name"),
    common: true,
  },
  fromVenv: {
    flags: "    --from-venv DIR",
    describe: "pack a virtual environment with its interpreter, with no SPEC",
    parse: filled("the name"),
    common: true,
  },
  check: {
    flags: "    --check",
    describe: "unpack it, move it and import every module of it",
    common: true,
  },
  channel: {
    flags: "-c, --channel CHANNEL",
    describe: "look here before the channels of SPEC: a name, a URL or a folder",
    parse: filled("the channel"),
    repeatable: true,
    common: true,
  },
  overrideChannels: {
    flags: "    --override-channels",
    describe: "look in those of --channel only",
    group: "Solving",
  },
  channelPriority: {
    flags: "    --channel-priority WORD",
    describe: `${channelPriorities.join(", ")}: whether later channels count for a name`,
    parse: oneOf("priority of channels", channelPriorities),
    defaultShown: "condarc's, else strict",
    group: "Solving",
  },
  platform: {
    flags: "    --platform PLATFORM",
    describe: platforms.join(", "),
    parse: oneOf("platform", platforms),
    defaultShown: "this machine's",
    group: "Solving",
  },
  glibc: {
    flags: "    --glibc VERSION",
    describe: "of the oldest machine that is to run it",
    parse: parseVersion,
    defaultShown: "2.28, or older if this machine's is",
    group: "Solving",
  },
  cuda: {
    flags: "    --cuda VERSION",
    describe: "the newest that its GPU drivers know",
    parse: parseVersion,
    group: "Solving",
  },
  solver: {
    flags: "    --solver PROGRAM",
    describe: "let conda, mamba or micromamba choose the conda packages",
    parse: filled("the program"),
    group: "Solving",
  },
  update: {
    flags: "    --update",
    describe: "ask pip's index again, though the same was asked within a day",
    group: "Solving",
  },
  offline: {
    flags: "    --offline",
    describe: "use what is in the cache, ask no host",
    group: "Solving",
  },
  postLink: {
    flags: "    --post-link",
    describe: "run the post-link scripts of packages",
    group: "Solving",
  },
  ...packingOptions,
  condaExecutable: {
    flags: "    --conda-executable PROGRAM",
    describe: "the same as --solver, as poncho calls it",
    parse: filled("the program"),
    group: "Solving",
  },
  noMicromamba: {
    flags: "    --no-micromamba",
    describe: "nothing is ever downloaded to solve",
    group: ignoredGroup,
  },
} as const satisfies OptionRows;
