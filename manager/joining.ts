/** How workers come to a manager: the token that it prints, and what is said of plain text. */
import { showJoinToken } from "../core/pin.ts";
import type { WorkerState } from "../core/scheduler/workers.ts";
import { anyAddress } from "./links.ts";
import type { Serving } from "./serving.ts";

/** Names and addresses in a token: a machine may have many, of containers and the like. */
const hostsMax = 3;

/** What `wqx worker --join` takes; `null` without TLS. `hostname`: the address listened on. */
export function joinTokenOf(
  { tls }: Serving,
  hostname: string | undefined,
  port: number,
): string | null {
  if (tls === null) return null;
  const everywhere = hostname === undefined || hostname === anyAddress;
  const hosts = everywhere ? ownHosts() : [hostname];
  return showJoinToken({ hosts, port, pin: tls.identity.pin });
}

/** The host name, which may mean nothing elsewhere, and the addresses of this machine. */
function ownHosts(): string[] {
  const name = Deno.hostname();
  const addresses = Deno.networkInterfaces()
    .filter(({ family, address }) => family === "IPv4" && !address.startsWith("127."))
    .map(({ address }) => address);
  const named = /^[\w.-]+$/.test(name) ? [name] : [];
  const hosts = [...named, ...addresses].slice(0, hostsMax);
  return hosts.length > 0 ? hosts : ["localhost"];
}

/** Said once in a run, of the first worker that this is true of. */
export function plainTextNote({ id, greeting, address, speaksWqx }: WorkerState): string {
  const who = `${id} from ${greeting?.hostname ?? address} talks plain text`;
  const risk = "who is on the way can read and change what passes";
  return speaksWqx
    ? `${who}: ${risk}; wqx worker --join TOKEN prevents it`
    : `${who}, as Work Queue's workers do without --ssl: ${risk}`;
}
