/** Why an attempt failed, as a sentence goes on after "the task failed: ". */
import type { Failure, Report } from "./tasks.ts";
import { describeAmount } from "../monitor/resources.ts";
import type { Exhaustion, Measured } from "../protocol/measured.ts";
import { resultCode } from "../protocol/messages.ts";
import type { Resources } from "../resources.ts";

/**
 * `null` for a command that ran and ended with exit code 0. `complaints`: what the worker said of
 * inputs that it could not obtain.
 */
export function describeFailure(
  { status, exitCode, printed, measured }: Pick<
    Report,
    "status" | "exitCode" | "printed" | "measured"
  >,
  box: Resources,
  complaints = "",
): Omit<Failure, "kind"> | null {
  switch (status) {
    case resultCode.success:
      return exitCode === 0 ? null : { code: resultCode.success, why: describeExit(exitCode) };
    case resultCode.inputMissing:
      return { code: resultCode.inputMissing, why: describeStaging(printed, complaints) };
    case resultCode.monitorError:
      return { code: resultCode.monitorError, why: describeMonitor(exitCode, printed) };
    case resultCode.resourceExhaustion:
      return describeExhaustion(measured);
    case resultCode.endTime:
      return { code: resultCode.endTime, why: "its end time passed" };
    case resultCode.maxWallTime:
      return { code: resultCode.maxWallTime, why: "it ran longer than its wall time" };
    case resultCode.diskFull:
      return {
        code: resultCode.diskFull,
        why: "its disk allocation filled up",
        exhausted: { resource: "disk", limit: box.diskMb, measured: null },
      };
    default:
      return { code: resultCode.unknown, why: `the worker reported status ${status}` };
  }
}

function describeExhaustion(measured: Measured | null): Omit<Failure, "kind"> {
  const code = resultCode.resourceExhaustion;
  const exhausted = measured?.exceeded;
  // A worker that does not measure says no more than that.
  if (exhausted === undefined) return { code, why: "it outgrew its allocation" };
  return { code, why: describeExcess(exhausted), exhausted };
}

/** "it used 612 MB of memory, and had 500 MB". */
function describeExcess({ resource, limit, measured }: Exhaustion): string {
  const name = resource.replaceAll("_", " ");
  const show = (amount: number) => describeAmount(resource, amount);
  return measured === null
    ? `it used more ${name} than its ${show(limit)}`
    : `it used ${show(measured)} of ${name}, and had ${show(limit)}`;
}

/** A wqx worker says why in place of what the command, which never ran, would have printed. */
function describeStaging(printed: Uint8Array, complaints: string): string {
  const words = new TextDecoder().decode(printed.subarray(0, 500)).trim() || complaints;
  return "the worker could not stage its inputs" + (words === "" ? "" : `: ${words}`);
}

/** A task that was sent under `wqx monitor`, and no summary came back that could be read. */
function describeMonitor(exitCode: number, printed: Uint8Array): string {
  const said = new TextDecoder().decode(printed.subarray(-500)).trim().split("\n").at(-1)!;
  const words = said === "" ? "" : `: ${said}`;
  // The shell's own, where it cannot start what it is given.
  if (exitCode === 126 || exitCode === 127) {
    return "wqx, which was sent along to monitor it, cannot be started on this worker " +
      `(exit code ${exitCode}${words}): monitoring has to be off for such workers`;
  }
  return `its monitor ended with exit code ${exitCode} and left no summary${words}`;
}

/** Workers report a signal as if it were an exit code, so small numbers may be either. */
function describeExit(exitCode: number): string {
  const signal = signalNames[exitCode];
  if (signal !== undefined) return `it ended with exit code ${exitCode} (or signal ${signal})`;
  if (exitCode === 127) return "it ended with exit code 127: command not found";
  if (exitCode === 126) return "it ended with exit code 126: command not executable";
  return `it ended with exit code ${exitCode}`;
}

const signalNames: Record<number, string> = {
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
};
