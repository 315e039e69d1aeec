/**
 * A small cluster on this machine: a network namespace for each node, joined by a bridge in one of
 * its own, and for each node a disk of a few megabytes. All of it is made inside of namespaces of
 * processes and mounts (`inOwnNamespaces`), so that the machine itself is never touched.
 */
import { listProcesses, readStat } from "../../io/procfs.ts";
import { wqxFromSource } from "../support/wqx.ts";
import { type NodeName, nodeNames } from "./schedule.ts";

const text = new TextDecoder();

/** Runs a program; throws an Error that says what it said, unless it ends with 0. */
export async function command(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
  }).output();
  if (success) return text.decode(stdout);
  throw new Error(`${program} ${args.join(" ")}: ${text.decode(stderr).trim()}`);
}

/** What starts a program in namespaces of its own; when it ends, all that it started is killed. */
export const inOwnNamespaces: readonly string[] = [
  ...["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"],
  // A shell as the first process: it reaps what others leave behind.
  ...["/bin/sh", "-c", '"$@" & wait $!', "sh"],
];

/** Why there cannot be such a cluster here; `null` if there can. */
export async function whyNot(): Promise<string | null> {
  const trial = "ip link add veth0 type veth peer name veth1 && ip link add br0 type bridge && " +
    "ip link set veth0 up && nft add table netdev t && " +
    "nft add chain netdev t c '{ type filter hook egress device veth0 priority 0; }' && " +
    "nft add rule netdev t c numgen random mod 100 '<' 1 drop && mount -t tmpfs tmpfs /mnt";
  try {
    const [program = "", ...args] = inOwnNamespaces;
    await command(program, ...args, "/bin/sh", "-c", trial);
    return null;
  } catch (error) {
    return `no network namespaces: ${String(error).split(": ").at(-1)}`;
  }
}

/** Of the network that the nodes are in; nothing else is there. */
export function addressOf(node: NodeName): string {
  return `10.77.0.${nodeNames.indexOf(node) + 1}`;
}

const namespaceOf = (node: string) => `/run/netns/${node}`;
const hub = "hub";
/** The end of a node's cable in the hub. */
const plugOf = (node: NodeName) => `to-${node}`;
const inHub = (...args: string[]) => command("nsenter", `--net=${namespaceOf(hub)}`, ...args);

/** Large enough for what a run or a worker keeps, small enough to be full at once. */
const diskBytes = 48 * 1024 ** 2;

export class World implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  /** Makes networks and disks; the folder is the machine's own disk. */
  static async create(folder: string): Promise<World> {
    await command("ip", "link", "set", "lo", "up");
    // What `ip netns` makes in /run is seen by nobody else.
    await command("mount", "-t", "tmpfs", "tmpfs", "/run");
    await command("ip", "netns", "add", hub);
    await inHub("ip", "link", "add", "bridge", "type", "bridge");
    await inHub("ip", "link", "set", "bridge", "up");
    await inHub("nft", "add", "table", "netdev", "loss");
    const world = new World(folder);
    for (const node of nodeNames) await world.#add(node);
    return world;
  }

  async #add(node: NodeName): Promise<void> {
    const plug = plugOf(node);
    await command("ip", "netns", "add", node);
    const inNode = (...args: string[]) => command("nsenter", `--net=${namespaceOf(node)}`, ...args);
    await inHub(...words(`ip link add ${plug} type veth peer name eth0 netns ${node}`));
    await inHub(...words(`ip link set ${plug} master bridge up`));
    await inNode(...words(`ip address add ${addressOf(node)}/24 dev eth0`));
    await inNode(...words("ip link set eth0 up"));
    await inNode(...words("ip link set lo up"));
    for (const way of ["ingress", "egress"]) {
      const rule = `type filter hook ${way} device ${plug} priority 0;`;
      await inHub("nft", `add chain netdev loss ${chainOf(node, way)} { ${rule} }`);
    }
    const options = `size=${diskBytes},mode=0700`;
    await Deno.mkdir(this.diskOf(node));
    await command("mount", "-t", "tmpfs", "-o", options, "tmpfs", this.diskOf(node));
  }

  /** Throws while anything uses the disk. */
  async unmount(node: NodeName): Promise<void> {
    await command("umount", this.diskOf(node));
  }

  diskOf(node: NodeName): string {
    return `${this.folder}/disk-${node}`;
  }

  /** Words that start wqx on a node, under the node's name. */
  wqxOn(node: NodeName): string[] {
    return [...this.enter(node), ...wqxFromSource];
  }

  /** Words before a command, which is to run on the node. */
  enter(node: NodeName): string[] {
    const named = ["unshare", "--uts", "/bin/sh", "-c", 'hostname "$0"; exec "$@"', node];
    return ["nsenter", `--net=${namespaceOf(node)}`, ...named];
  }

  /** As a cable that is pulled: nobody is told. */
  async cut(node: NodeName): Promise<void> {
    await inHub("ip", "link", "set", plugOf(node), "down");
  }

  async join(node: NodeName): Promise<void> {
    await inHub("ip", "link", "set", plugOf(node), "up");
  }

  /** From now on so many of a hundred packets are lost, in both directions. */
  async lose(node: NodeName, percent: number): Promise<void> {
    for (const way of ["ingress", "egress"]) {
      const chain = chainOf(node, way);
      await inHub("nft", `flush chain netdev loss ${chain}`);
      if (percent === 0) continue;
      await inHub("nft", `add rule netdev loss ${chain} numgen random mod 100 < ${percent} drop`);
    }
  }

  /** Takes all the space that the disk has left. */
  async fill(node: NodeName): Promise<void> {
    using file = await Deno.open(this.#ballastOf(node), { write: true, create: true });
    // Smaller and smaller pieces: the last bytes count.
    for (let size = 2 ** 20; size >= 1;) {
      try {
        const written = await file.write(new Uint8Array(size));
        if (written < size) size = Math.floor(size / 2);
      } catch {
        size = Math.floor(size / 2);
      }
    }
  }

  async free(node: NodeName): Promise<void> {
    await Deno.remove(this.#ballastOf(node)).catch(() => {}); // a reboot took it
  }

  /** As a disk of a node that forgets all when it starts. */
  async wipe(node: NodeName): Promise<void> {
    for (const { name } of Deno.readDirSync(this.diskOf(node))) {
      await Deno.remove(`${this.diskOf(node)}/${name}`, { recursive: true });
    }
  }

  /** A file that is there while the node is down. */
  downMarkOf(node: NodeName): string {
    return `${this.folder}/down-${node}`;
  }

  isFull(node: NodeName): boolean {
    try {
      return Deno.statSync(this.#ballastOf(node)).isFile;
    } catch {
      return false;
    }
  }

  #ballastOf(node: NodeName): string {
    return `${this.diskOf(node)}/ballast`;
  }

  /** Processes on a node that are not dead. */
  processesOn(node: NodeName): number[] {
    const { ino } = Deno.statSync(namespaceOf(node));
    return listProcesses().filter((pid) => {
      try {
        return Deno.readLinkSync(`/proc/${pid}/ns/net`) === `net:[${ino}]` &&
          readStat(pid)?.state !== "Z";
      } catch {
        return false; // it has just ended
      }
    });
  }

  /** The process of a node that runs this command of wqx. */
  wqxProcessOn(node: NodeName, subcommand: string): number | null {
    const found = this.processesOn(node).find((pid) => {
      const args = argumentsOf(pid);
      return args[0]?.endsWith("deno") && args[3]?.endsWith("main.ts") && args[4] === subcommand;
    });
    return found ?? null;
  }

  /** Connections and listening sockets on a node, those left out that only wait for stray packets. */
  async socketsOn(node: NodeName): Promise<string[]> {
    const table = await command("nsenter", `--net=${namespaceOf(node)}`, ...words("ss -Hnatup"));
    return table.split("\n").filter((line) => line !== "" && !/TIME-WAIT/.test(line));
  }

  /** Connections of a node end, and its peers are not told: the link has to be cut. */
  async forgetConnections(node: NodeName): Promise<void> {
    await command("nsenter", `--net=${namespaceOf(node)}`, ...words("ss -K -t state connected"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of nodeNames) {
      await command("umount", "-l", this.diskOf(node)).catch(() => {}); // it is gone already
      await command("ip", "netns", "delete", node).catch(() => {});
    }
    await command("ip", "netns", "delete", hub).catch(() => {});
  }
}

/** Of a process that is there; none of one that has ended. */
export function argumentsOf(pid: number): string[] {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

function chainOf(node: NodeName, way: string): string {
  return `${node}-${way}`;
}

function words(line: string): string[] {
  return line.split(" ");
}
