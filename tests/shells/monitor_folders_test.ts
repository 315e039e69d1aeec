/** The size of a folder followed while it changes, and control groups on a tree of plain files. */
import assert from "node:assert/strict";
import { type Cgroups, openCgroups } from "../../io/cgroup.ts";
import { FolderSize } from "../../io/folder_size.ts";
import { executableType, findProgram } from "../../io/programs.ts";
import { TempFolder } from "../support/temp.ts";

Deno.test("a folder's size follows what is made, grows, shrinks, moves and goes in it", async () => {
  await using folder = await TempFolder.create();
  const size = new FolderSize(folder.path);
  const now = () => {
    size.refresh();
    return [size.bytes, size.files];
  };
  assert.deepEqual(now(), [0, 1]);
  await folder.write("a", "12345");
  await folder.write("d/e/b", "123");
  size.refresh();
  assert.deepEqual(now(), [8, 5]);
  await folder.write("a", "1234567890");
  assert.deepEqual(now(), [13, 5]);
  await Deno.rename(folder.join("d"), folder.join("f"));
  size.refresh();
  assert.deepEqual(now(), [13, 5]);
  await Deno.symlink(folder.join("a"), folder.join("link"));
  assert.deepEqual(now(), [13, 6], "links count as entries, not as bytes");
  await Deno.remove(folder.join("f"), { recursive: true });
  assert.deepEqual(now(), [10, 3]);
});

Deno.test("a round looks at no more than it may, and rounds come to know everything", async () => {
  await using folder = await TempFolder.create();
  for (let i = 0; i < 60; i++) await folder.write(`d${i % 6}/f${i}`, "x".repeat(100));
  const size = new FolderSize(folder.path, { looksMax: 10 });
  for (let round = 0; round < 40; round++) size.refresh();
  assert.deepEqual([size.bytes, size.files], [6000, 67]);
  // Cold by now: its turn comes.
  await folder.write("d3/f3", "x".repeat(1100));
  for (let round = 0; round < 40; round++) size.refresh();
  assert.equal(size.bytes, 7000);
  size.settle();
  assert.deepEqual([size.bytes, size.files], [7000, 67]);
});

Deno.test("a folder that is gone, or was never there, is empty", () => {
  const size = new FolderSize("/nonexistent/folder");
  size.refresh();
  size.settle();
  assert.equal(size.bytes, 0);
});

function opened(found: ReturnType<typeof openCgroups>): Cgroups {
  if ("why" in found) throw new Error(found.why);
  return found;
}

Deno.test("a group of version 2 that was given is divided: limits, counts, kills, and goes", async () => {
  await using folder = await TempFolder.create();
  await folder.write("cgroup.controllers", "cpu memory pids\n");
  await folder.write("cgroup.subtree_control", "");
  using groups = opened(openCgroups({ given: folder.path }));
  assert.equal(groups.version, "cgroup v2");
  assert.equal(await Deno.readTextFile(folder.join("cgroup.subtree_control")), "+memory");
  const plain = groups.make("t.1");
  assert.equal(plain.limitsMemory, false);
  assert.equal(plain.read(), null);
  plain.remove();
  await assert.rejects(Deno.stat(folder.join("t.1")), Deno.errors.NotFound);

  const group = groups.make("t.2", 100);
  // The kernel makes these with the folder; a plain file system does not.
  assert.equal(group.limitsMemory, false);
  await folder.write("t.2/cgroup.procs", "");
  await folder.write("t.2/cgroup.kill", "");
  await folder.write("t.2/memory.stat", "anon 4194304\nfile 99\nfile_mapped 2097152\n");
  await folder.write("t.2/cpu.stat", "usage_usec 1500000\nuser_usec 1\n");
  await folder.write("t.2/memory.events", "low 0\noom 1\noom_kill 0\n");
  assert.equal(group.add(4711), true);
  assert.equal(await Deno.readTextFile(folder.join("t.2/cgroup.procs")), "4711");
  assert.deepEqual(group.read(), { cpuMs: 1500, memoryKb: 6144 });
  assert.equal(group.oomKilled(), false);
  await folder.write("t.2/memory.events", "low 0\noom 1\noom_kill 1\n");
  assert.equal(group.oomKilled(), true);
  assert.equal(group.kill(), true);
  assert.equal(await Deno.readTextFile(folder.join("t.2/cgroup.kill")), "1");
});

Deno.test("control groups are used only where this user was given one to divide", async () => {
  await using folder = await TempFolder.create();
  const proc = folder.join("proc"), mount = folder.join("cg");
  await folder.write("cg/own/cgroup.controllers", "memory\n");
  await folder.write("cg/own/cgroup.subtree_control", "");
  await folder.write("proc/self/cgroup", "0::/own\n");
  await folder.write("proc/self/mounts", `cgroup2 ${mount} cgroup2 rw 0 0\n`);
  const { uid } = await Deno.stat(folder.join("cg/own"));
  const why = (found: ReturnType<typeof openCgroups>) => "why" in found ? found.why : null;
  const notOurs = `the group ${mount}/own is not this user's to divide`;
  assert.equal(why(openCgroups({ given: "", proc, uid: uid! + 1 })), notOurs);
  assert.equal(why(openCgroups({ given: "", proc, uid: 0 })), notOurs, "root owns what is not its");
  assert.equal(why(openCgroups({ given: "off", proc, uid })), "WQX_CGROUP=off");
  if (uid !== 0) assert.equal(why(openCgroups({ given: "", proc, uid })), null);
  await folder.write("proc/self/mounts", "");
  assert.equal(why(openCgroups({ given: "", proc, uid })), "no cgroups that count memory");
  const wrong = openCgroups({ given: folder.join("nowhere") });
  assert.match(why(wrong)!, /^WQX_CGROUP: .*nowhere is no group that counts memory$/);
  // Version 1, where memory has a hierarchy of its own.
  await folder.write("v1/memory.limit_in_bytes", "");
  using groups = opened(openCgroups({ given: folder.join("v1") }));
  const group = groups.make("t.1", 10);
  await folder.write("v1/t.1/memory.stat", "cache 5\ntotal_rss 2048\ntotal_mapped_file 1024\n");
  await folder.write("v1/t.1/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n");
  assert.deepEqual([groups.version, group.read(), group.oomKilled(), group.kill()], [
    "cgroup v1",
    { cpuMs: 0, memoryKb: 3 },
    true,
    false,
  ]);
});

Deno.test("a program is found as a shell finds it, or the reason why not", async () => {
  await using folder = await TempFolder.create();
  const path = await folder.write("bin/tool", "#!/bin/sh -e\n");
  assert.deepEqual(findProgram("tool", `/nowhere:${folder.join("bin")}`), {
    why: `${path}: it may not be executed: chmod +x it first`,
  });
  await Deno.chmod(path, 0o755);
  assert.deepEqual(findProgram("tool", `/nowhere:${folder.join("bin")}`), { path });
  assert.deepEqual(findProgram(path, ""), { path });
  assert.deepEqual(findProgram(folder.path, ""), { why: "it is a folder, not a program" });
  assert.deepEqual(findProgram(folder.join("none"), ""), { why: "there is no such file" });
  assert.deepEqual(findProgram("", "/bin"), { why: "its name is empty" });
  assert.equal(executableType(path), "#!/bin/sh -e");
  assert.equal(executableType(folder.join("none")), "unknown");
  assert.equal(executableType(await folder.write("text", "hello")), "unknown");
  assert.equal(executableType("/bin/sh"), "dynamic");
});
