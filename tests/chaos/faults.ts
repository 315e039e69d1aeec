/** What each fault does to the fleet, and how it ends. */
import { readStat } from "../../io/procfs.ts";
import { until } from "../support/until.ts";
import type { Fleet, Program } from "./fleet.ts";
import type { Fault, NodeName, WorkerNode } from "./schedule.ts";
import type { World } from "./world.ts";

/** Ends the fault; nothing where it was over by itself. */
export type End = () => Promise<void> | void;

/** Makes it happen. Resolves with its end, or says why it cannot happen now. */
export async function strike(fleet: Fleet, fault: Fault): Promise<End | string> {
  const { world } = fleet;
  const { kind, on, percent = 0 } = fault;
  switch (kind) {
    case "cut":
      await world.cut(on);
      return () => world.join(on);
    case "loss":
      await world.lose(on, percent);
      return () => world.lose(on, 0);
    case "full":
      await world.fill(on);
      return () => world.free(on);
    case "stop":
      return stop(programOn(world, on));
    case "freeze":
      return stop(world.processesOn(on));
    case "reboot":
      return await reboot(world, on);
    case "kill":
      return isWorker(on) ? killWorker(world, on) : await killProgram(fleet, on);
  }
}

function isWorker(node: NodeName): node is WorkerNode {
  return node.startsWith("worker-");
}

function programOn(world: World, node: NodeName): number[] {
  const pid = world.wqxProcessOn(node, isWorker(node) ? "worker" : node);
  return pid === null ? [] : [pid];
}

function killWorker(world: World, node: WorkerNode): End | string {
  const pids = programOn(world, node);
  if (pids.length === 0) return "no worker is there";
  for (const pid of pids) signal(pid, "SIGKILL");
  return () => {};
}

/** Started again when the fault ends; the manager is, by whoever runs it. */
async function killProgram(fleet: Fleet, name: Program): Promise<End> {
  const program = fleet.program(name);
  program.signal("SIGKILL");
  await program.ended;
  if (name === "catalog") return () => fleet.startCatalog();
  if (name === "factory") return () => fleet.startFactory();
  return () => {};
}

function stop(pids: readonly number[]): End | string {
  if (pids.length === 0) return "nothing runs there";
  const stopped = pids.map((pid) => ({ pid, startTicks: readStat(pid)?.startTicks }));
  for (const pid of pids) signal(pid, "SIGSTOP");
  return () => {
    for (const { pid, startTicks } of stopped) {
      // The pid may have come again.
      if (readStat(pid)?.startTicks === startTicks) signal(pid, "SIGCONT");
    }
  };
}

/** No worker is started there before it is up again. */
async function reboot(world: World, node: NodeName): Promise<End> {
  await Deno.writeTextFile(world.downMarkOf(node), "");
  await world.cut(node);
  await until(() => {
    const left = world.processesOn(node);
    for (const pid of left) signal(pid, "SIGKILL");
    return left.length === 0;
  }, { what: `the end of all on ${node}` });
  await world.forgetConnections(node);
  await world.wipe(node);
  return async () => {
    await world.join(node);
    await Deno.remove(world.downMarkOf(node));
  };
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It has just ended.
  }
}
