/** Whose process is whose, also while a program replaces another one. */
import assert from "node:assert/strict";
import { Census, memberOf } from "../../worker/monitor_census.ts";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";

const onLinux = Deno.build.os === "linux";

function shell(script: string, mark: string): Deno.ChildProcess {
  return new Deno.Command("/bin/sh", {
    args: ["-c", script],
    env: { WQX_TASK: mark },
    stdin: "null",
    stdout: "null",
  }).spawn();
}

Deno.test({
  ...needs(onLinux, "there is no /proc", "processes belong to tasks by session, parent and mark"),
  fn: async () => {
    // The orphan's parent ends at once, so that init or a subreaper has it; ended by its own time.
    const first = shell("(setsid sleep 5 &); sleep 5; :", "<census#1>");
    const second = shell("sleep 5; :", "<census#12>");
    const census = new Census();
    const one = memberOf(first.pid, null), other = memberOf(second.pid, null);
    try {
      census.add(one);
      census.add(other);
      const counts = () => {
        const found = census.look(() => true);
        return [found.get(one)!.length, found.get(other)!.length];
      };
      await until(() => counts().join() === "3,2", { what: "three processes and two" });
      assert.deepEqual([one.mark, other.mark], ["<census#1>", "<census#12>"]);
      assert.equal(census.look((member) => member === one).get(other), undefined, "is not due");
      census.remove(other);
      assert.deepEqual([...census.look(() => true).keys()], [one]);
    } finally {
      census.add(other);
      for (const { pid } of [...census.look(() => true).values()].flat()) Deno.kill(pid, "SIGKILL");
      await Promise.all([first.status, second.status]);
    }
  },
});

Deno.test({
  ...needs(onLinux, "there is no /proc", "a mark that is cut short is no mark"),
  fn: async () => {
    const child = shell("exec sleep 5", "<census#2");
    await until(() => Deno.readTextFileSync(`/proc/${child.pid}/environ`).includes("census#2"), {
      what: "its environment",
    });
    assert.equal(memberOf(child.pid, null).mark, null);
    child.kill("SIGKILL");
    await child.status;
  },
});
