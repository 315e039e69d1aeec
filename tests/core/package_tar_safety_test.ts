import assert from "node:assert/strict";
import fc from "fast-check";
import { RunError } from "../../core/errors.ts";
import { limitsOf, SafeTree } from "../../core/package/tar_safety.ts";
import type { TarKind, TarMember } from "../../core/package/tar_reader.ts";

type Short = readonly [kind: TarKind, path: string, target?: string];

const limits = { bytesMax: 1e9, why: "and no more is allowed", membersMax: 100 };

function member([kind, path, target = ""]: Short, more: Partial<TarMember> = {}): TarMember {
  return { path, kind, target, size: 0, mode: 0o644, mtime: 0, typeFlag: "0", ...more };
}

function admitAll(members: readonly Short[]) {
  const tree = new SafeTree(limits);
  const admitted = members.map((one) => tree.admit(member(one)));
  tree.finish();
  return admitted;
}

const hostile: readonly (readonly [string, readonly Short[], RegExp])[] = [
  ["an absolute name", [["file", "/etc/passwd"]], /"\/etc\/passwd" is an absolute path/],
  ["a name that goes up", [["file", "a/../../b"]], /"a\/..\/..\/b" has "\.\."/],
  ["a name with NUL", [["file", "a\0b"]], /not UTF-8 text/],
  ["a name too long", [["file", "x".repeat(300)]], /longer than file systems take/],
  ["an absolute link", [["link", "l", "/etc"]], /link "l" leads to "\/etc", outside/],
  ["a link that goes up", [["link", "a/l", "../../x"]], /link "a\/l" leads to .* outside/],
  ["a link that goes up later", [["link", "l", "a/b/../../../x"]], /outside/],
  ["a link without target", [["link", "l", ""]], /no target/],
  ["a file beneath a link", [["link", "l", "a"], ["file", "l/x"]], /"l\/x" lies beneath "l"/],
  ["a link beneath a link", [["link", "l", "."], ["link", "l/m", "x"]], /lies beneath "l"/],
  ["a file beneath a file", [["file", "f"], ["file", "f/x"]], /lies beneath "f", which is a file/],
  [
    "a link out by way of an earlier one",
    [["link", "a/b/up", "../.."], ["link", "out", "a/b/up/../secret"]],
    /link "out" leads to/,
  ],
  [
    "a link out by way of a later one",
    [["link", "out", "x/../secret"], ["link", "x", "."]],
    /link "out" leads to/,
  ],
  ["a hard link to what is not there", [["hard-link", "h", "/etc/passwd"]], /absolute path/],
  ["a hard link to a link", [["link", "l", "x"], ["hard-link", "h", "l"]], /no file that came/],
  ["a folder over a file", [["file", "f"], ["folder", "f"]], /"f" comes twice/],
  ["a link over a folder", [["file", "d/f"], ["link", "d", "x"]], /"d" comes twice/],
];

Deno.test("SafeTree refuses what reaches out of the folder", async (t) => {
  for (const [name, members, message] of hostile) {
    await t.step(name, () => {
      assert.throws(() => admitAll(members), (error) => {
        assert.ok(error instanceof RunError);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

Deno.test("SafeTree refuses devices and pipes by name, and drops set-user-id bits", () => {
  for (
    const [typeFlag, words] of [["3", /character device/], ["4", /block/], ["6", /pipe/]] as const
  ) {
    const device = member(["other", "dev/null"], { typeFlag });
    assert.throws(() => new SafeTree(limits).admit(device), words);
  }
  const set = new SafeTree(limits).admit(member(["file", "bin/su"], { mode: 0o4755 }));
  assert.deepEqual(set, { kind: "file", path: "bin/su", mode: 0o755, replaces: false });
});

Deno.test("SafeTree admits what environments have", () => {
  assert.deepEqual(
    admitAll([
      ["folder", "./"],
      ["folder", "./empty/"],
      ["file", "lib//python/./a.py"],
      ["link", "lib64", "lib"],
      ["link", "bin/python3", "python"],
      ["link", "lib/libx.so", "libx.so.1"],
      ["link", "share/deep/back", "../../lib/python"],
      ["hard-link", "lib/b.py", "./lib/python/a.py"],
      ["file", "lib/b.py"], // the later one wins
      ["link", "circle", "circle"],
    ]).map((one) => one && [one.kind, one.path]),
    [
      null,
      ["folder", "empty"],
      ["file", "lib/python/a.py"],
      ["link", "lib64"],
      ["link", "bin/python3"],
      ["link", "lib/libx.so"],
      ["link", "share/deep/back"],
      ["hard-link", "lib/b.py"],
      ["file", "lib/b.py"],
      ["link", "circle"],
    ],
  );
});

Deno.test("SafeTree refuses what is too large before it comes", () => {
  const tree = new SafeTree(limitsOf(1e6, 1e12, undefined));
  const zeros = member(["file", "zeros"], { size: 10 * 1024 ** 3 });
  assert.throws(() => tree.admit(zeros), /"zeros" it has more than 256 MB unpacked, more than 100/);
  const full = new SafeTree(limitsOf(1e9, 5e6, undefined));
  assert.throws(
    () => full.admit(member(["file", "f"], { size: 6e6 })),
    /no more is free on the disk/,
  );
  const allowed = new SafeTree(limitsOf(1e6, 1e12, 20 * 1024 ** 3));
  assert.ok(allowed.admit(zeros));

  const many = new SafeTree(limits);
  const add = () => {
    for (let i = 0; i <= limits.membersMax; i++) many.admit(member(["file", `f${i}`]));
  };
  assert.throws(add, /more than 100 members/);
});

const part = fc.constantFrom("a", "b", "c", "..", ".", "", "l");
const anyPath = fc.array(part, { maxLength: 5 }).map((parts) => parts.join("/"));
const anyMember = fc.record({
  kind: fc.constantFrom<TarKind>("file", "folder", "link", "hard-link"),
  path: anyPath,
  target: anyPath,
});

/** Where a path leads in a tree of links, or null if out of it. */
function walk(links: ReadonlyMap<string, string>, path: string): string[] | null {
  let at: string[] = [];
  const todo = path.split("/").reverse();
  for (let steps = 0; todo.length > 0 && steps < 500; steps++) {
    const name = todo.pop()!;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      if (at.length === 0) return null;
      at = at.slice(0, -1);
      continue;
    }
    const target = links.get([...at, name].join("/"));
    if (target === undefined) at.push(name);
    else if (target.startsWith("/")) return null;
    else todo.push(...target.split("/").reverse());
  }
  return at;
}

Deno.test("in a tree that SafeTree let in no path leads out, whatever it was made of", () => {
  fc.assert(fc.property(fc.array(anyMember, { maxLength: 12 }), (members) => {
    const tree = new SafeTree(limits);
    const links = new Map<string, string>();
    try {
      for (const { kind, path, target } of members) {
        const admitted = tree.admit(member([kind, path, target]));
        if (admitted === null) continue;
        // Nothing is ever written through a link, nor beside the folder.
        assert.deepEqual(walk(links, admitted.path.split("/").slice(0, -1).join("/")), [
          ...admitted.path.split("/").slice(0, -1),
        ]);
        if (admitted.kind === "link") links.set(admitted.path, admitted.target);
        else links.delete(admitted.path);
      }
      tree.finish();
    } catch (error) {
      assert.ok(error instanceof RunError);
      return;
    }
    for (const path of links.keys()) assert.notEqual(walk(links, path), null, path);
  }));
});
