import assert from "node:assert/strict";
import { type Sandbox, Sandboxes } from "../../worker/sandboxes.ts";
import { TempFolder } from "../support/temp.ts";

/** As a task leaves it: made, with what it printed. */
function used(sandboxes: Sandboxes, printed = ""): Sandbox {
  const sandbox = sandboxes.take();
  sandbox.make();
  Deno.writeTextFileSync(sandbox.printedPath, printed);
  return sandbox;
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("a sandbox is used again, and nothing of the last attempt is in it", async () => {
  await using folder = await TempFolder.create();
  const sandboxes = new Sandboxes(folder.path);
  const first = used(sandboxes, "printed\n");
  const other = used(sandboxes);
  assert.notEqual(first.folder, other.folder);
  Deno.mkdirSync(`${first.folder}/a/b`, { recursive: true });
  Deno.writeTextFileSync(`${first.temporary}/.hidden`, "x");
  Deno.symlinkSync(other.folder, `${first.folder}/link`);
  await sandboxes.giveBack(first);
  const second = sandboxes.take();
  second.make();
  assert.equal(second.folder, first.folder);
  assert.deepEqual(names(second.folder), [".tmp"]);
  assert.deepEqual(names(second.temporary), []);
  assert.deepEqual(names(other.folder), [".tmp"]);
});

const spoiled: readonly [string, (sandbox: Sandbox) => void][] = [
  ["whose mode a task changed", ({ folder }) => Deno.chmodSync(folder, 0o500)],
  ["that a task removed", ({ folder }) => Deno.removeSync(folder, { recursive: true })],
  ["without its temporary folder", ({ temporary }) => Deno.removeSync(temporary)],
  ["whose temporary folder is a link", ({ temporary }) => {
    Deno.removeSync(temporary);
    Deno.symlinkSync("/tmp", temporary);
  }],
  ["whose output is large", ({ printedPath }) => Deno.truncateSync(printedPath, 2 * 1024 ** 2)],
  ["whose output has another name too", ({ printedPath, folder }) => {
    Deno.linkSync(printedPath, `${folder}/../kept`);
  }],
  ["of a task that was never started", ({ printedPath }) => Deno.removeSync(printedPath)],
];
for (const [what, spoil] of spoiled) {
  Deno.test(`a sandbox ${what} is removed`, async () => {
    await using folder = await TempFolder.create();
    const sandboxes = new Sandboxes(folder.path);
    const sandbox = used(sandboxes);
    spoil(sandbox);
    await sandboxes.giveBack(sandbox);
    assert.deepEqual(names(folder.path).filter((name) => name !== "kept"), []);
    assert.notEqual(sandboxes.take().folder, sandbox.folder);
  });
}

Deno.test("sandboxes that someone else removes are not handed out again", async () => {
  await using folder = await TempFolder.create();
  const sandboxes = new Sandboxes(folder.path);
  const sandbox = used(sandboxes);
  await sandboxes.giveBack(sandbox);
  sandboxes.forget();
  assert.notEqual(sandboxes.take().folder, sandbox.folder);
});
