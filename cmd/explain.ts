/** `wqx explain`: why a task waits or a worker idles, in a paragraph. */
import { UsageError } from "../core/errors.ts";
import type { Subject } from "../core/status/questions.ts";
import { wrapped } from "../core/status/line.ts";
import { defineCommand } from "./cli.ts";
import { httpDebugOptions, openLog } from "./debug_log.ts";
import { addressOf, Asking } from "./status_asking.ts";
import { askingOptions } from "./status_options.ts";

/** Longer lines are hard to read, however wide the window is. */
const widthMax = 90;

export const command = defineCommand({
  name: "explain",
  purpose: "Say why a task waits, why a worker idles, or what holds the whole queue up, and what " +
    "would help.",
  usage: ["[TASK|WORKER] HOST PORT [options]", "[TASK|WORKER] -M NAME [options]"],
  examples: [
    ["explain 41 -M demo", "task 41 of the manager that the catalog knows as demo"],
    ["explain w3 head-node 9123", "a worker, by the name in the manager's notes, or its host"],
    ["explain head-node 9123", "the whole queue"],
  ],
  arguments: {
    subject: {
      name: "TASK|WORKER",
      describe: "number or name of a task, or name, host or HOST:PORT of a worker",
      optional: true,
    },
    host: { name: "HOST", describe: "where the manager is", optional: true },
    port: { name: "PORT", describe: "its port, 9123 if not given", optional: true },
  },
  options: {
    ...askingOptions,
    json: { flags: "    --json", describe: "print the answer as a line of JSON", common: true },
    ...httpDebugOptions,
  },
  async run({ options, arguments: given, terminal: { stdout, stderr }, program }) {
    const { name, address } = meant(given, options.project !== undefined);
    using log = openLog(options, program);
    const asking = await Asking.prepare(options, new AbortController().signal, {
      warn: (line) => stderr.write(`${line}\n`),
      debug: (line) => log.write("http", line),
    });
    const manager = address === null ? await asking.only() : asking.at(address);
    const text = await asking.explain(manager, subjectOf(name));
    if (options.json) {
      stdout.write(JSON.stringify({ name: name ?? null, manager: manager.label, text }) + "\n");
    } else {
      const width = Math.min(widthMax, stdout.columns);
      for (const line of wrapped(text, width)) stdout.write(`${line}\n`);
    }
    return 0;
  },
});

type Words = Readonly<Record<"subject" | "host" | "port", string | undefined>>;

/**
 * With a project name one word is what is asked about; else HOST PORT are the last two, since a
 * port is a number and a host is none.
 */
function meant({ subject, host, port }: Words, named: boolean) {
  if (named) {
    if (host !== undefined) {
      throw new UsageError("A manager is given by -M NAME or by HOST PORT: one of them will do");
    }
    return { name: subject, address: null };
  }
  if (subject === undefined) throw new UsageError("Which manager? Give HOST PORT, or -M NAME");
  const isPort = (word: string | undefined) => word !== undefined && /^\d+$/.test(word);
  if (port === undefined && (host === undefined || (isPort(host) && !isPort(subject)))) {
    if (host === undefined && (isPort(subject) || !/[.:a-z]/i.test(subject))) {
      throw new UsageError("Which manager? Give HOST PORT, or -M NAME");
    }
    return { name: undefined, address: addressOf(subject, host) };
  }
  return { name: subject, address: addressOf(host, port) };
}

function subjectOf(name: string | undefined): Subject {
  if (name === undefined) return { kind: "queue" };
  return /^\d+$/.test(name) ? { kind: "task", name } : { kind: "any", name };
}
