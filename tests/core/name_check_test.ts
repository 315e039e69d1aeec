import assert from "node:assert/strict";
import { isOtherManager, NameCheck } from "../../core/worker/name_check.ts";
import { briefWork, bytesOf, textOf, WorkerProbe } from "../support/builders.ts";

Deno.test("NameCheck takes the name off the first bytes, however they are cut", () => {
  const sent = "my ana\ntask 1\n";
  for (let cut = 0; cut <= sent.length; cut++) {
    const check = new NameCheck("my ana");
    const first = check.feed(bytesOf(sent.slice(0, cut)));
    const rest = first ?? check.feed(bytesOf(sent.slice(cut)));
    const after = first === null ? "" : sent.slice(cut);
    assert.equal(rest && textOf(rest) + after, "task 1\n", `cut at ${cut}`);
  }
});

Deno.test("NameCheck tells another manager by its name, or by an order in its place", () => {
  for (
    const [sent, said] of [["banana\n", "banana"], ["anaconda\n", "anaconda"], [
      "put x 3 0644\n",
      "put x 3 0644",
    ]]
  ) {
    assert.throws(() => new NameCheck("ana").feed(bytesOf(sent!)), (error: Error) => {
      assert.equal(error.name, "PeerProtocolError");
      assert.ok(isOtherManager(error.message));
      assert.ok(error.message.endsWith(`asked for its name, it says "${said}"`), error.message);
      return true;
    });
  }
  const endless = new NameCheck("ana");
  assert.throws(() => {
    for (;;) endless.feed(new Uint8Array(10_000).fill(0x61));
  }, { name: "PeerProtocolError" });
});

Deno.test("NameCheck lets a manager ask for a password first", () => {
  const rest = new NameCheck("ana").feed(bytesOf("auth password sha1\n"));
  assert.equal(rest && textOf(rest), "auth password sha1\n");
});

Deno.test("a worker asks for the name where it knows one, before it tells its resources", () => {
  const asking = briefWork(new WorkerProbe({ project: "ana" }).handle({ type: "connected" }));
  assert.ok(asking.indexOf("name") > 0, asking.join("\n"));
  assert.ok(asking.indexOf("name") < asking.findIndex((line) => line.startsWith("resource")));
  const silent = briefWork(new WorkerProbe().handle({ type: "connected" }));
  assert.deepEqual(silent, asking.filter((line) => line !== "name"));
});
