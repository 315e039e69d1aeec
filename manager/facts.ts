/** What a manager says of itself and its machine. */
import type { ManagerFacts } from "../core/status/snapshot.ts";

/** Facts that the manager knows of its run; the rest is the machine's. */
type OfTheRun = Pick<
  ManagerFacts,
  "project" | "version" | "port" | "ssl" | "startedEpochMs" | "hostsBlocked"
>;

export function factsOf(run: OfTheRun): ManagerFacts {
  return {
    ...run,
    owner: Deno.env.get("USER") ?? Deno.env.get("LOGNAME") ?? String(Deno.uid() ?? ""),
    priority: 0,
    workingDir: Deno.cwd(),
    // Managers listen on IPv4.
    interfaces: Deno.networkInterfaces().filter((one) => one.family === "IPv4"),
    preferredConnection: "by_ip",
    tasksLeft: 0,
  };
}
