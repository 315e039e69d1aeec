/**
 * Nothing survives the worker, however it dies. A tiny shell in a session of its own waits on a
 * pipe that only the worker holds; when the pipe closes, it kills what is left of the worker's
 * tasks and removes the workspace. After an orderly exit it finds nothing to kill, and is gone too.
 *
 * The worker writes the groups of its tasks to a file, which the guard does not read before the
 * end: to tell it of each would cost two switches of process a task.
 */
import { ownerMark } from "./orphans.ts";

/** In the workspace: the groups of running tasks, a line each; of no task, 0. */
export const groupsFile = ".groups";

/** Decimal digits, padded with spaces, and a line feed: any pid of Linux fits. */
const lineBytes = 12;

/**
 * `$1` workspace, `$2` the mark of its tasks, `$3` the file of groups; a group is also a session.
 * POSIX sh with grep, rm, chmod and sleep; without /proc only the groups are known. Kills in
 * rounds, because what is being killed may start something; zombies do not count.
 */
const guardScript = `
trap '' HUP INT QUIT TERM
PATH="$PATH:/usr/bin:/bin"
while read -r nothing; do :; done
groups=" "
while read -r group; do
  case "$group" in
    "" | *[!0-9]* | 0 | 1) ;;
    *) groups="$groups$group " ;;
  esac
done <"$3"

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
  readonly #groups: Deno.FsFile;
  /** By group, the number of its line. */
  readonly #lines = new Map<number, number>();
  readonly #freeLines: number[] = [];

  private constructor(child: Deno.ChildProcess, groups: Deno.FsFile) {
    this.#child = child;
    this.#groups = groups;
  }

  /**
   * Starts guarding this folder (absolute path), which is removed in the end. Throws the error of
   * the file system if it cannot keep a file there.
   */
  static start(workspace: string): Guard {
    if (!/^\/[^/\n]+\/./.test(workspace)) {
      throw new RangeError(`Not a workspace to remove in the end: ${JSON.stringify(workspace)}`);
    }
    const path = `${workspace}/${groupsFile}`;
    const groups = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", guardScript, "wqx-guard", workspace, ownerMark(workspace), path],
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
    return new Guard(child, groups);
  }

  /** Of the guard process, which is also its session. */
  get pid(): number {
    return this.#child.pid;
  }

  /** A task has started in this process group and session. */
  add(group: number): void {
    const line = this.#freeLines.pop() ?? this.#lines.size;
    this.#lines.set(group, line);
    this.#write(line, group);
  }

  /** Nothing of this group is left, so that its number may be given to others. */
  remove(group: number): void {
    const line = this.#lines.get(group);
    if (line === undefined) return;
    this.#lines.delete(group);
    this.#freeLines.push(line);
    this.#write(line, 0);
  }

  /** Returns when the workspace is gone, and the guard too. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.ref();
    this.#groups.close();
    // Fails if someone killed the guard; then there is nothing to wait for either.
    await this.#child.stdin.close().catch(() => {});
    await this.#child.status;
  }

  #write(line: number, group: number): void {
    try {
      this.#groups.seekSync(line * lineBytes, Deno.SeekMode.Start);
      this.#groups.writeSync(encoder.encode(`${String(group).padEnd(lineBytes - 1)}\n`));
    } catch {
      // The disk is full: without this line only what hides its mark could outlive the worker.
    }
  }
}
