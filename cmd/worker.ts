/** `wqx worker HOST PORT` */
import { UsageError } from "../core/errors.ts";
import { orAll, parseCount, parsePorts, parseSizeMb, parseTimeMs } from "../core/units.ts";
import { defaultBackoff } from "../core/worker/backoff.ts";
import { selfCommand } from "../io/self.ts";
import { stopSignal } from "../io/signals.ts";
import { runWorker } from "../worker/run.ts";
import { defineCommand } from "./cli.ts";
import { version } from "./commands.ts";

/** Work Queue's 900 s, for both leaving an idle manager and giving up on finding one. */
const timeoutMs = 900_000;

const parseCores = (text: string) => parseCount(text, { min: 1 });
const parseGpus = (text: string) => parseCount(text, { min: 0 });

export const command = defineCommand({
  name: "worker",
  purpose: "Run tasks for a manager, many at once, until there is no more work.",
  usage: ["HOST PORT [options]"],
  examples: [
    ["worker login1.site.edu 9123", "serve the manager on that host and port"],
    ["worker localhost 9123 --cores 4 --memory 8GB", "offer less than the whole machine"],
  ],
  arguments: {
    host: { name: "HOST", describe: "host name or address of the manager" },
    port: { name: "PORT", describe: "port that the manager listens on" },
  },
  options: {
    cores: {
      flags: "    --cores N",
      describe: 'offer N cores; "all" is what the machine has',
      parse: orAll(parseCores),
      defaultShown: "all",
      common: true,
    },
    memory: {
      flags: "    --memory SIZE",
      describe: 'offer so much memory; a bare number is MB, "all" what the machine has',
      parse: orAll(parseSizeMb),
      defaultShown: "all",
      common: true,
    },
    disk: {
      flags: "    --disk SIZE",
      describe: 'offer so much disk; a bare number is MB, "all" what is free',
      parse: orAll(parseSizeMb),
      defaultShown: "all",
      common: true,
    },
    gpus: {
      flags: "    --gpus N",
      describe: 'offer N gpus; "all" is what the machine has',
      parse: orAll(parseGpus),
      defaultShown: "all",
      common: true,
    },
    timeout: {
      flags: "-t, --timeout TIME",
      describe: "leave after so long without tasks, or without a manager",
      parse: parseTimeMs,
      default: timeoutMs,
      defaultShown: "15m",
      common: true,
    },
    workdir: {
      flags: "-s, --workdir FOLDER",
      describe: "keep cache and sandboxes under FOLDER",
      parse: (text: string) => text,
      defaultShown: "TMPDIR or /tmp",
      common: true,
    },
    singleShot: {
      flags: "    --single-shot",
      describe: "quit after the first connection, however it ends",
      common: true,
    },
    parentDeath: {
      flags: "    --parent-death",
      describe: "quit when the process that started this worker is gone",
    },
  },
  async run({ options, arguments: { host, port }, terminal }) {
    using stop = stopSignal({ withParent: options.parentDeath });
    await runWorker({
      host,
      port: portOf(port),
      resources: {
        cores: unlessAll(options.cores),
        memoryMb: unlessAll(options.memory),
        diskMb: unlessAll(options.disk),
        gpus: unlessAll(options.gpus),
      },
      workdir: options.workdir ?? workdirHere(),
      wqx: selfCommand(),
      version,
      limits: { idleTimeoutMs: options.timeout },
      connectTimeoutMs: options.timeout,
      backoff: defaultBackoff,
      singleShot: options.singleShot,
      log: (line) => terminal.stderr.write(`${line}\n`),
    }, stop.signal);
    return 0;
  },
});

function unlessAll(value: number | "all" | undefined): number | undefined {
  return value === "all" ? undefined : value;
}

function portOf(text: string): number {
  const { low, high } = parsePorts(text);
  if (low === high && low > 0) return low;
  throw new UsageError(
    `Cannot connect to port "${text}": give the one that the manager listens on`,
  );
}

/** Scratch folders in the order in which Work Queue looks for them. */
function workdirHere(): string {
  const names = ["CCTOOLS_TEMP", "_CONDOR_SCRATCH_DIR", "TMPDIR", "TEMP", "TMP"];
  return names.map((name) => Deno.env.get(name)).find((path) => path) ?? "/tmp";
}
