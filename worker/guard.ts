/**
 * Nothing survives the worker, however it dies. A tiny shell in a session of its own waits on a
 * pipe that only the worker holds; when the pipe closes, it kills what is left of the worker's
 * tasks and removes the workspace. After an orderly exit it finds nothing to kill, and is gone too.
 */
import { ownerMark } from "./orphans.ts";

/**
 * `$1` workspace, `$2` the mark of its tasks. Reads `+ GROUP` and `- GROUP`; a group is also a
 * session. POSIX sh with grep, rm, chmod and sleep; without /proc only the groups are known.
 * Kills in rounds, because what is being killed may start something; zombies do not count.
 */
const guardScript = `
trap '' HUP INT QUIT TERM
PATH="$PATH:/usr/bin:/bin"
groups=" "
while read -r operation group; do
  case "$operation$groups" in
    +*) groups="$groups$group " ;;
    -*" $group "*) groups="\${groups%%" $group "*} \${groups#*" $group "}" ;;
  esac
done

left() {
  for stat in /proc/[0-9]*/stat; do
    line=
    { read -r line <"$stat"; } 2>/dev/null
    [ -n "$line" ] || continue
    set -- "\${stat%/stat}" \${line##*") "}
    case "$2 $groups" in
      Z*) ;;
      *" $5 "*) echo "\${1#/proc/}" ;;
    esac
  done
  for environ in $(grep -lsF "$mark" /proc/[0-9]*/environ); do
    environ="\${environ#/proc/}"
    echo "\${environ%/environ}"
  done
}

workspace="$1" mark="$2" round=0
while [ "$round" -lt 100 ]; do
  round=$((round + 1))
  for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
  pids=$(left)
  [ -z "$pids" ] && break
  kill -s KILL $pids 2>/dev/null
  sleep 0.05 2>/dev/null || sleep 1
done
round=0
until rm -rf -- "$workspace" 2>/dev/null; do
  round=$((round + 1))
  [ "$round" -lt 100 ] || exit 1
  chmod -R u+rwx "$workspace" 2>/dev/null
  sleep 0.05 2>/dev/null || sleep 1
done
`;

const encoder = new TextEncoder();

/** Holds the pipe to the guard process. Dispose of it after the tasks have ended. */
export class Guard implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
  }

  /** Starts guarding this folder (absolute path), which is removed in the end. */
  static start(workspace: string): Guard {
    if (!/^\/[^/\n]+\/./.test(workspace)) {
      throw new RangeError(`Not a workspace to remove in the end: ${JSON.stringify(workspace)}`);
    }
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", guardScript, "wqx-guard", workspace, ownerMark(workspace)],
      // Never in a folder that is about to go, nor on a file system that someone wants to unmount.
      cwd: "/",
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      // Ctrl-C in the terminal goes to its foreground group, hence not to the guard.
      detached: true,
    }).spawn();
    // A worker that ends without disposing of its guard must not wait for it.
    child.unref();
    return new Guard(child);
  }

  /** Of the guard process, which is also its session. */
  get pid(): number {
    return this.#child.pid;
  }

  /** A task has started in this process group and session. */
  add(group: number): void {
    this.#tell(`+ ${group}\n`);
  }

  /** Nothing of this group is left, so that its number may be given to others. */
  remove(group: number): void {
    this.#tell(`- ${group}\n`);
  }

  /** Returns when the workspace is gone, and the guard too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.ref();
    // Fails if someone killed the guard; then there is nothing to wait for either.
    await this.#writer.close().catch(() => {});
    await this.#child.status;
  }

  #tell(line: string): void {
    // As above: without its guard a worker still works.
    this.#writer.write(encoder.encode(line)).catch(() => {});
  }
}
