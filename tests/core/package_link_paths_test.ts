import assert from "node:assert/strict";
import fc from "fast-check";
import {
  checkedPath,
  packagePaths,
  parseHasPrefix,
  pythonLayout,
  targetPath,
} from "../../core/package/link_paths.ts";
import { defaultPlaceholder } from "../../core/package/placeholder.ts";

const none = { pathsJson: null, files: null, hasPrefix: null, noLink: null };
const isLink = () => false;

Deno.test("paths.json tells kinds, placeholders, hashes and sizes", () => {
  const paths = [
    {
      _path: "bin/a",
      path_type: "hardlink",
      prefix_placeholder: "/P",
      file_mode: "binary",
      sha256: "AB",
      size_in_bytes: 3,
    },
    { _path: "lib/l", path_type: "softlink", prefix_placeholder: "/P", file_mode: "text" },
    { _path: "share/d", path_type: "directory" },
    { _path: "etc/c", path_type: "hardlink", no_link: true, prefix_placeholder: "/P" },
  ];
  const read = packagePaths(
    { ...none, pathsJson: JSON.stringify({ paths, paths_version: 1 }) },
    isLink,
  );
  assert.deepEqual(read, [
    {
      path: "bin/a",
      type: "hardlink",
      noLink: false,
      placeholder: { text: "/P", mode: "binary" },
      sha256: "ab",
      size: 3,
    },
    { path: "lib/l", type: "softlink", noLink: false },
    { path: "share/d", type: "directory", noLink: false },
    { path: "etc/c", type: "hardlink", noLink: true, placeholder: { text: "/P", mode: "text" } },
  ]);
});

Deno.test("packages without paths.json are read from files, has_prefix and no_link", () => {
  const read = packagePaths({
    pathsJson: null,
    files: "bin/a\r\nlib/b c\nlib/l\n",
    hasPrefix: 'bin/a\n"/my P" binary "lib/b c"\n',
    noLink: "bin/a\n",
  }, (path) => path === "lib/l");
  assert.deepEqual(read, [
    {
      path: "bin/a",
      type: "hardlink",
      noLink: true,
      placeholder: { text: defaultPlaceholder, mode: "text" },
    },
    {
      path: "lib/b c",
      type: "hardlink",
      noLink: false,
      placeholder: { text: "/my P", mode: "binary" },
    },
    { path: "lib/l", type: "softlink", noLink: false },
  ]);
});

Deno.test("a bare path in has_prefix may hold blanks and stand in quotes", () => {
  const text = "share/two words.txt\n'share/q'\n/P text share/x\n";
  assert.deepEqual([...parseHasPrefix(text)], [
    ["share/two words.txt", { text: defaultPlaceholder, mode: "text" }],
    ["share/q", { text: defaultPlaceholder, mode: "text" }],
    ["share/x", { text: "/P", mode: "text" }],
  ]);
});

Deno.test("what cannot be read as a package's list of paths is said", () => {
  const entry = (fields: object) => JSON.stringify({ paths: [fields], paths_version: 1 });
  const rows: [string, RegExp][] = [
    ["{", /paths.json is no JSON/],
    ['{"paths": [], "paths_version": 7}', /version that wqx does not know/],
    ["[]", /version that wqx does not know/],
    [entry({}), /entry without a path/],
    [entry({ _path: "a", path_type: "device" }), /unknown type "device": a/],
    [
      entry({ _path: "a", path_type: "hardlink", prefix_placeholder: "/P", file_mode: "x" }),
      /unknown mode "x": a/,
    ],
    [entry({ _path: "/etc/passwd", path_type: "hardlink" }), /could lead out/],
    [entry({ _path: "a/../../b", path_type: "hardlink" }), /could lead out/],
  ];
  for (const [pathsJson, pattern] of rows) {
    assert.throws(() => packagePaths({ ...none, pathsJson }, isLink), pattern);
  }
  assert.throws(() => packagePaths(none, isLink), /neither info\/paths.json nor info\/files/);
});

Deno.test("no path that is let in leads out of its folder", () => {
  const parts = fc.array(fc.constantFrom("..", ".", "", "a", "b.txt"), { minLength: 1 });
  fc.assert(fc.property(parts, (all) => {
    const path = all.join("/");
    let isSafe = false;
    try {
      isSafe = checkedPath(path) === path;
    } catch {
      return;
    }
    assert.ok(isSafe && new URL(path, "file:///p/").pathname === `/p/${path}`);
  }));
});

Deno.test("paths for Python come to lie where this Python looks", () => {
  const layout = pythonLayout("3.11.7");
  assert.equal(layout.minor, "3.11");
  const rows: [string, string][] = [
    ["site-packages/a/b.py", "lib/python3.11/site-packages/a/b.py"],
    ["python-scripts/run", "bin/run"],
    ["share/site-packages/x", "share/site-packages/x"],
    ["site-packages-x/y", "site-packages-x/y"],
  ];
  for (const [from, to] of rows) assert.equal(targetPath(from, layout), to);
  assert.equal(
    targetPath("site-packages/a", pythonLayout("3.13.1", "lib/python3.13t/site-packages")),
    "lib/python3.13t/site-packages/a",
  );
  assert.throws(() => pythonLayout("three"), /no version like 3.11/);
  assert.throws(() => pythonLayout("3.11.7", "../../x"), /could lead out/);
});
