import assert from "node:assert/strict";
import { listProcesses, readEnvironment, readStat } from "../../io/procfs.ts";
import { Guard } from "../../worker/guard.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const script = new URL("../support/guarded_worker.ts", import.meta.url);

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Processes in the session of a task or with its mark, and the guard. Zombies are gone. */
function survivors(workspace: string, sessions: ReadonlySet<number>): number[] {
  return listProcesses().filter((pid) => {
    const stat = readStat(pid);
    if (stat === null || stat.state === "Z") return false;
    const marked = readEnvironment(pid)?.some((entry) => entry.includes(`<${workspace}#`));
    return marked || sessions.has(stat.session);
  });
}

for (const kind of ["exact", "plain"]) {
  Deno.test({
    ...needs(
      Deno.build.os === "linux",
      "looks for processes under /proc",
      `a worker that is killed with SIGKILL leaves no process and no workspace (${kind})`,
    ),
    async fn() {
      await using folder = await TempFolder.create();
      const workspace = folder.join("work space #1");
      await Deno.mkdir(workspace);
      const worker = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", script.pathname, workspace, kind],
        stdin: "null",
        stdout: "piped",
      }).spawn();
      const reader = worker.stdout.getReader();
      const { value } = await reader.read();
      const guardPid = Number(/^guard ([0-9]+)\n$/.exec(new TextDecoder().decode(value))?.[1]);
      assert.ok(guardPid > 0);
      for (const i of [0, 1, 2, 3, 4]) {
        await until(() => isThere(`${workspace}/t.${i}/ready`), { what: `task ${i}` });
      }
      const marked = survivors(workspace, new Set());
      const sessions = new Set(marked.map((pid) => readStat(pid)?.session ?? 0));
      assert.ok(survivors(workspace, sessions).length > marked.length, "one hides its mark");

      worker.kill("SIGKILL");
      await worker.status;
      await until(() => survivors(workspace, sessions).length === 0, { what: "the end of all" });
      await until(() => !isThere(workspace), { what: "the workspace to go" });
      const gone = () => ["Z", undefined].includes(readStat(guardPid)?.state);
      await until(gone, { what: "the end of the guard" });
      await reader.cancel();
    },
  });
}

Deno.test("a guard whose worker ends in order removes the workspace and is gone at once", async () => {
  await using folder = await TempFolder.create();
  const workspace = folder.join("workspace");
  await Deno.mkdir(`${workspace}/t.1`, { recursive: true });
  const guard = Guard.start(workspace);
  guard.add(99_999_999);
  guard.remove(99_999_999);
  guard.remove(77_777_777);
  assert.equal(isThere(workspace), true);
  await guard[Symbol.asyncDispose]();
  assert.equal(isThere(workspace), false);
});

Deno.test("a guard is out of reach of the terminal and of an early SIGTERM", async () => {
  await using folder = await TempFolder.create();
  const workspace = folder.join("workspace");
  await Deno.mkdir(workspace);
  {
    await using guard = Guard.start(workspace);
    if (Deno.build.os === "linux") {
      const session = await until(() => readStat(guard.pid)?.session, { what: "the guard" });
      assert.equal(session, guard.pid);
      const ignoresTerm = async () => {
        const status = await Deno.readTextFile(`/proc/${guard.pid}/status`);
        return (Number.parseInt(/SigIgn:\s*(\S+)/.exec(status)?.[1] ?? "0", 16) & (1 << 14)) !== 0;
      };
      await until(ignoresTerm, { what: "the guard to ignore SIGTERM" });
      Deno.kill(guard.pid, "SIGTERM");
      Deno.kill(guard.pid, "SIGINT");
    }
    guard.add(99_999_999);
  }
  assert.equal(isThere(workspace), false);
});

Deno.test("Guard.start() refuses a folder that it would be a disaster to remove", () => {
  for (const path of ["", "/", "/home", "relative/path", "//x"]) {
    assert.throws(() => Guard.start(path), /^RangeError: Not a workspace/);
  }
});
