/** What condor_submit is given: a file of `name = value` lines, in the order of cctools. */
import { BatchError, type JobRequest, type WorkerJob } from "./batch_system.ts";
import { commandWithEnvironment } from "./job_files.ts";

export interface CondorSettings {
  readonly requirements: string | null;
  readonly hostsBlocked: readonly string[];
  readonly autosize: boolean;
  readonly batchOptions: string;
}

/** Size of a worker of which none is said, as in cctools. */
const memoryMbDefault = 1024;
const diskMbDefault = 1024;

/** The text for condor_submit. Throws BatchError for what cannot be written into one. */
export function condorSubmitText(job: WorkerJob, settings: CondorSettings): string {
  const requirements = requirementsLine(settings);
  const { wallTimeS } = job.request;
  return [
    "universe = vanilla",
    "executable = condor.sh",
    `arguments = "${escapedArgument(commandWithEnvironment(job))}"`,
    `transfer_input_files = ${job.inputs.map(inputName).join(", ")}`,
    "should_transfer_files = yes",
    "when_to_transfer_output = on_exit",
    'transfer_output_files = ""', // else all that the worker leaves behind
    "notification = never",
    "transfer_executable = true",
    "keep_claim_idle = 30",
    "log = condor.logfile",
    "output = condor.output.$(Cluster)", // its last lines tell why a worker died
    "+JobMaxSuspendTime = 0",
    `batch_name = ${job.name}`,
    ...requirements === null ? [] : [requirements],
    "getenv = true",
    ...requestLines(job.request, settings.autosize),
    ...wallTimeS === null ? [] : [`allowed_job_duration = ${Math.ceil(wallTimeS)}`],
    ...settings.batchOptions.trim() === "" ? [] : [expandedCodes(settings.batchOptions)],
    "queue",
    "",
  ].join("\n");
}

/**
 * One argument in HTCondor's new syntax: within single quotes, quotes are doubled. A dollar sign
 * would begin a macro, but for those of `$$([…])`, which HTCondor replaces when it has a machine.
 */
export function escapedArgument(text: string): string {
  if (/[\n\r\0]/.test(text)) {
    throw new BatchError("HTCondor takes no command of several lines: put it into a script");
  }
  const dollars = text.replace(
    /\$\$\(\[[^\]]*\]\)|\$/g,
    (found) => found === "$" ? "$(DOLLAR)" : found,
  );
  return `'${dollars.replaceAll("'", "''").replaceAll('"', '""')}'`;
}

/** `\n` is a new line, `\t` a tab; any other `\x` is x. */
export function expandedCodes(text: string): string {
  const codes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
  return text.replace(/\\([^])/g, (_, letter: string) => codes[letter] ?? letter);
}

function requirementsLine({ requirements, hostsBlocked }: CondorSettings): string | null {
  const blocked = hostsBlocked.map((host) => `(machine != "${host.replace(/["\\\n]/g, "")}")`);
  const parts = [requirements, blocked.length === 0 ? null : blocked.join(" && ")];
  const given = parts.filter((part) => part !== null && part.trim() !== "");
  if (given.length === 0) return null;
  return `requirements = ${given.map((part) => `(${part})`).join(" && ")}`;
}

function requestLines({ cores, memoryMb, diskMb, gpus }: JobRequest, autosize: boolean): string[] {
  const larger = (n: number, total: string) => `ifThenElse(${n} > ${total}, ${n}, ${total})`;
  const amount = (n: number, total: string) => autosize ? larger(n, total) : String(n);
  const whole = (n: number | null, or: number) => n === null || n <= 0 ? or : Math.ceil(n);
  const gpuCount = whole(gpus, 0);
  return [
    `request_cpus = ${amount(whole(cores, 1), "TotalSlotCpus")}`,
    `request_memory = ${amount(whole(memoryMb, memoryMbDefault), "TotalSlotMemory")}`,
    `request_disk = ${amount(whole(diskMb, diskMbDefault) * 1024, "TotalSlotDisk")}`,
    ...gpuCount > 0 ? [`request_gpus = ${amount(gpuCount, "TotalSlotGpus")}`] : [],
  ];
}

function inputName(name: string): string {
  if (/[,\n"$]/.test(name)) {
    throw new BatchError(
      `HTCondor cannot transfer "${name}": rename the file without commas, quotes and $`,
    );
  }
  return name;
}
