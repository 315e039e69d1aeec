/** Names are checked where lines are read; here, what links could do to names that look harmless. */
import assert from "node:assert/strict";
import { Workspace } from "../../worker/workspace.ts";
import { only, output, runningTask, taskBlock } from "../support/builders.ts";
import { TempFolder } from "../support/temp.ts";

/** A workspace, and a folder outside of it that nothing may be written into. */
async function bed() {
  const folder = await TempFolder.create();
  await folder.write("outside/precious", "as it was");
  const options = { parent: folder.path, wqx: ["true"], symlinks: false };
  const workspace = await Workspace.create(options);
  const store = async (cacheName: string, inside: string, text: string) => {
    const sink = workspace.store({ cacheName, inside }, 0o644);
    await sink.take(new TextEncoder().encode(text));
    return await sink.finish();
  };
  const outside = folder.join("outside");
  const untouched = () => {
    assert.deepEqual([...Deno.readDirSync(outside)].map(({ name }) => name), ["precious"]);
    assert.equal(Deno.readTextFileSync(`${outside}/precious`), "as it was");
  };
  const close = async () => {
    untouched();
    await workspace[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  };
  return { workspace, store, outside, [Symbol.asyncDispose]: close };
}

Deno.test("a link that a manager sent cannot be written through, by file or directory", async () => {
  await using at = await bed();
  const { workspace, store, outside } = at;
  workspace.makeDirectory({ cacheName: "d", inside: "" });
  workspace.makeLink({ cacheName: "d", inside: "out" }, outside);
  workspace.makeLink({ cacheName: "d", inside: "file" }, `${outside}/precious`);
  assert.throws(
    () => workspace.makeDirectory({ cacheName: "d", inside: "out" }),
    /^PeerProtocolError: Cannot make d\/out: /,
  );
  assert.throws(() => workspace.makeLink({ cacheName: "d", inside: "out" }, "/etc"), /Cannot make/);
  assert.equal(await store("d", "file", "new"), null);
  assert.ok(Deno.lstatSync(`${workspace.cachePath("d")}/file`).isFile, "the link was replaced");
  workspace.unlink("d");
});

Deno.test("inputs and directories of a task are not put where a link leads out of its sandbox", async () => {
  await using at = await bed();
  const { workspace, store, outside } = at;
  workspace.makeDirectory({ cacheName: "d", inside: "" });
  workspace.makeLink({ cacheName: "d", inside: "out" }, outside);
  workspace.makeLink({ cacheName: "d", inside: "up" }, "../..");
  workspace.makeDirectory({ cacheName: "d", inside: "real" });
  workspace.makeLink({ cacheName: "d", inside: "same" }, "real");
  assert.equal(await store("f", "", "text"), null);
  const stage = async (sandboxName: string, directories: string[] = []) => {
    const sandbox = workspace.sandboxes.take();
    const inputs = [
      { cacheName: "d", sandboxName: "d", flags: 1 },
      { cacheName: "f", sandboxName, flags: 1 },
    ];
    const trouble = await workspace.stageIn(taskBlock(1, { inputs, directories }), sandbox);
    return { trouble, folder: sandbox.folder };
  };
  for (const name of ["d/out/f", "d/out/deep/f", "d/up/f"]) {
    assert.match((await stage(name)).trouble!, /^d\/(out|up) is a link that leads out of the san/);
  }
  assert.match((await stage("f", ["d/out/new"])).trouble!, /^d\/out is a link that leads out/);
  const { trouble, folder } = await stage("d/same/f", ["d/real/deep/er", "d/same"]);
  assert.equal(trouble, null);
  assert.equal(Deno.readTextFileSync(`${folder}/d/real/f`), "text");
  assert.ok(Deno.statSync(`${folder}/d/real/deep/er`).isDirectory);
});

Deno.test("a worker that answers with another name than asked, or one that climbs, is dropped", () => {
  const climbing = ["out-o/../../x", "out-o//etc/passwd", "out-o/..", "out-o/a/../b", "out-o/\0"];
  const others = ["other", "/etc/passwd", "out-ox/y", "../out-o", "./out-o"];
  for (const path of [...climbing, ...others]) {
    for (const type of ["file", "dir"] as const) {
      const { probe, worker, id } = runningTask({ outputs: [output("o")] });
      probe.receive(worker, { type: "available_results" });
      probe.result(worker, id);
      probe.receive(worker, { type: "end" });
      const told = type === "file" ? { type, path, length: 3 } as const : { type, path } as const;
      const actions = probe.receive(worker, told);
      const [closed] = only(actions, "close");
      assert.match(
        closed?.why ?? "",
        /^(Refused the sandbox name|Asked for "out-o" and got)/,
        path,
      );
      assert.deepEqual(only(actions, "receive").filter(({ into }) => into.kind === "file"), []);
      assert.deepEqual(only(actions, "make_directory"), []);
    }
  }
});
