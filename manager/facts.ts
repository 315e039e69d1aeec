/** What a manager says of itself and its machine. */
import { userInfo } from "node:os";
import type { ManagerFacts } from "../core/status/snapshot.ts";

/** Facts that the manager knows of its run; the rest is the machine's. */
type OfTheRun = Pick<
  ManagerFacts,
  | "project"
  | "version"
  | "port"
  | "ssl"
  | "startedEpochMs"
  | "preferredConnection"
  | "hostsBlocked"
  | "priority"
  | "tasksLeft"
>;

/** `hostname`: the address that it listens on. */
export function factsOf({ hostname, ...run }: OfTheRun & { hostname: string }): ManagerFacts {
  const listensOn = ({ family, address }: Deno.NetworkInterfaceInfo) =>
    family === "IPv4" && (hostname === "0.0.0.0" || hostname === address);
  return {
    ...run,
    owner: userInfo().username,
    workingDir: Deno.cwd(),
    interfaces: Deno.networkInterfaces().filter(listensOn),
  };
}
