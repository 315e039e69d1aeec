/** Analyses of files on a real XRootD server: the run, and the proxy that goes with its tasks. */
import assert from "node:assert/strict";
import { proxyFor } from "../../manager/x509_proxy.ts";
import { refusal } from "../support/analysis.ts";
import { findPython } from "../support/python.ts";
import { gridHere, gridReason, makeGrid } from "../support/grid.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { demo, readJson, TestBed } from "../support/wqx.ts";
import { nobody, TroubledWire, xrootdHere, xrootdReason, XrootdServer } from "../support/xrootd.ts";

const names = ["dimuon_a.root", "dimuon_b.root"];
const files = names.map((name) => `${demo}/data/${name}`);
const secret = "neither in logs nor in reports";

function demoOf([collisions, simulation]: readonly string[]): string {
  return `
name: dimuon
datasets:
  collisions: "${collisions}"
  simulation: {files: "${simulation}", metadata: {weight: 0.565}}
processor: ${demo}/processor.ts
chunksize: 20000
workers: 2
`;
}

Deno.test({
  ...needs(xrootdHere, xrootdReason, "a server that is stopped and started again changes no bit"),
  async fn() {
    await using bed = await TestBed.create();
    await using server = await XrootdServer.start(files);
    await using wire = new TroubledWire(server.port);
    await bed.folder.write("local.yaml", demoOf(files));
    await bed.folder.write("remote.yaml", demoOf(names.map((n) => server.url(n, wire.port))));
    const local = await bed.run(["manager", "local.yaml", "--output", "local"]);
    assert.equal(local.code, 0, local.stderr);
    await using remote = bed.start(["manager", "remote.yaml", "--output", "remote"]);
    await until(() => wire.bytes > 1_500_000, { what: "some chunks", timeoutMs: 30_000 });
    await server.stop();
    await until(() => wire.refused > 2, { what: "attempts to find the server again" });
    await server.start();
    assert.equal(await remote.ended, 0, remote.stderr);
    const { result } = await readJson(bed.folder.join("remote/result.json"));
    assert.deepEqual(result, (await readJson(bed.folder.join("local/result.json"))).result);
    await bed.clean();
  },
});

Deno.test({
  ...needs(xrootdHere, xrootdReason, "a file that the server has not is left out and listed"),
  async fn() {
    await using bed = await TestBed.create();
    await using server = await XrootdServer.start(files);
    await bed.folder.write(
      "some.yaml",
      `
datasets: {some: ["${server.url("dimuon_a.root")}", "${server.url("dimuon_c.root")}"]}
processor: {command: 'echo "{}" >"$WQX_RESULT"'}
retries: 0
skip-bad-files: true
`,
    );
    const wqx = await bed.run(["manager", "some.yaml", "--output", "out"]);
    assert.equal(wqx.code, 0, wqx.stderr);
    assert.match(wqx.stderr, /dimuon_c\.root": there is no such file on 127\.0\.0\.1/);
    const { processed } = (await readJson(bed.folder.join("out/report.json"))).events;
    assert.equal(processed, 120_000);
  },
});

/** Says of its proxy which mode it has and whether it is the right one; never what is in it. */
const lookAtProxy = `
proxy="\${X509_USER_PROXY-none}"
cd /
if [ "$proxy" = none ]; then mode=none same=none
else
  mode=$(stat -L -c %a "$proxy")
  same=$(grep -qx '${secret}' "$proxy" && echo same)
fi
printf '{"seen": ["%s %s"]}' "$mode" "$same" >"$WQX_RESULT"
`;

async function seenProxies(
  bed: TestBed,
  url: string,
  { options = [], env = {} }: { options?: readonly string[]; env?: Record<string, string> },
) {
  await bed.folder.write("look.sh", lookAtProxy);
  await bed.folder.write(
    "proxy.yaml",
    `
datasets: {far: "${url}", near: "${files[1]}"}
processor: {command: sh look.sh, inputs: [look.sh]}
`,
  );
  const command = ["manager", "proxy.yaml", "--output", "out", ...options];
  const wqx = await bed.run(command, { env });
  assert.equal(wqx.code, 0, wqx.stderr);
  const { seen } = (await readJson(bed.folder.join("out/result.json"))).result;
  return { seen: seen.toSorted(), said: wqx.stdout + wqx.stderr };
}

Deno.test({
  ...needs(
    xrootdHere,
    xrootdReason,
    "the proxy goes with the tasks of files on XRootD, and there only",
  ),
  async fn() {
    await using bed = await TestBed.create();
    await using server = await XrootdServer.start(files);
    await bed.folder.write("my_proxy", `${secret}\n`);
    const { seen, said } = await seenProxies(bed, server.url("dimuon_b.root"), {
      options: ["--x509-proxy", "my_proxy"],
      // Local workers inherit it.
      env: { X509_USER_PROXY: "none" },
    });
    assert.deepEqual(seen, ["600 same", "none none"]);
    await bed.clean();
    const kept = await new Deno.Command("grep", {
      args: ["-rl", secret, bed.folder.path],
    }).output();
    const found = new TextDecoder().decode(kept.stdout).trim().split("\n").sort();
    const given = ["look.sh", "my_proxy"].map((name) => bed.folder.join(name));
    assert.deepEqual(found, given);
    assert.ok(!said.includes(secret));
  },
});

Deno.test({
  ...needs(xrootdHere, xrootdReason, "no proxy goes anywhere when none is wanted"),
  async fn() {
    await using bed = await TestBed.create();
    await using server = await XrootdServer.start(files);
    await bed.folder.write("my_proxy", `${secret}\n`);
    // Local workers inherit it: what tasks see is the user's own file.
    const { seen } = await seenProxies(bed, server.url("dimuon_b.root"), {
      options: ["--x509-proxy", "none"],
      env: { X509_USER_PROXY: bed.folder.join("my_proxy") },
    });
    assert.deepEqual(seen, ["644 same", "644 same"]);
  },
});

const python = findPython(["uproot", "XRootD", "fsspec_xrootd"]);

Deno.test({
  ...needs(
    xrootdHere && "path" in python,
    "missing" in python ? python.missing : xrootdReason,
    "uproot reads from the same server what it reads from disk",
  ),
  async fn() {
    await using server = await XrootdServer.start(files);
    const code = "import sys, uproot\n" +
      "a, b = (uproot.open({f: 'Events'})['MET_pt'].array(library='np') for f in sys.argv[1:])\n" +
      "assert len(a) == 120000 and (a == b).all()\n";
    const { success, stderr } = await new Deno.Command("path" in python ? python.path : "", {
      args: ["-c", code, files[0]!, server.url(names[0]!)],
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  },
});

Deno.test({
  ...needs(gridHere, gridReason, "a server that wants a proxy gets that of the user"),
  async fn() {
    await using bed = await TestBed.create();
    // Where the user of the server may look.
    await using grid = await TempFolder.create("wqx-grid-", "/tmp");
    await Deno.chmod(grid.path, 0o755);
    const { proxy, env, serverConfig } = await makeGrid(grid, nobody);
    await using server = await XrootdServer.start(files, { config: serverConfig });
    await bed.folder.write(
      "grid.yaml",
      `
datasets: {far: "${server.url(names[1]!)}"}
processor: {command: 'echo "{}" >"$WQX_RESULT"'}
retries: 0
`,
    );
    const manage = (named: string) =>
      bed.run(["manager", "grid.yaml", "--output", "out", "--x509-proxy", named], {
        env: { ...env, X509_USER_PROXY: bed.folder.join("none") },
      });
    const accepted = await manage(proxy);
    assert.equal(accepted.code, 0, accepted.stderr);
    const refused = await manage("none");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /does not accept who asks: is your proxy valid\?/);
  },
});

Deno.test("the proxy is the one named, else that of the environment, else the usual file", async () => {
  await using folder = await TempFolder.create();
  const [named, usual, own] = await Promise.all(
    ["named", `x509up_u${Deno.uid()}`, "own"].map((name) => folder.write(name, secret)),
  );
  const saved = ["X509_USER_PROXY", "TMPDIR"].map((name) => [name, Deno.env.get(name)] as const);
  const remote = [{ source: "root://h//a.root" }], local = [{ source: "/data/a.root" }];
  const found = (files: typeof remote, key?: string | false, option?: string) =>
    proxyFor(files, { key, option, folder: folder.path, complain: (_, text) => assert.fail(text) });
  try {
    Deno.env.set("TMPDIR", folder.path);
    Deno.env.delete("X509_USER_PROXY");
    assert.equal(await found(remote), usual);
    Deno.env.set("X509_USER_PROXY", own!);
    assert.equal(await found(remote), own);
    Deno.env.set("X509_USER_PROXY", folder.join("gone"));
    assert.equal(await found(remote), usual);
    assert.equal(await found(remote, "named"), named);
    assert.equal(await found(remote, "named", own), own);
    assert.equal(await found(remote, false), null);
    assert.equal(await found(remote, "named", "none"), null);
    assert.equal(await found(local), null);
    assert.equal(await found(local, "named"), null);
  } finally {
    for (const [name, value] of saved) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});

Deno.test("datasets and proxies that cannot be are refused, each with what would do", async () => {
  const analysis = (url: string, more = "") =>
    `datasets:\n  DY: "${url}"\nprocessor: dimuon.ts\n${more}`;
  const rows: readonly (readonly [yaml: string, lines: readonly string[]])[] = [
    [analysis("root://h:1094//store/a.root"), []],
    [analysis("roots://h//store/a.root?x=1"), []],
    [analysis("root://h//store/*/a_*.root"), [
      'analysis.yaml:2:7: datasets.DY: "root://h//store/*/a_*.root" is a pattern, and these are ' +
      'not looked up on XRootD servers: name each file; "xrdfs h ls /store" lists them',
    ]],
    [analysis("root://h/"), [
      'analysis.yaml:2:7: datasets.DY: "root://h/" names no file of a server, as in ' +
      "root://host:1094//path/file.root",
    ]],
    [analysis("root://h//a.root", "x509-proxy: data/none"), [
      'analysis.yaml:4:13: x509-proxy: "data/none" is not there; voms-proxy-init makes a proxy',
    ]],
    [analysis("root://h//a.root", "x509-proxy: data"), [
      'analysis.yaml:4:13: x509-proxy: "data" is no proxy; voms-proxy-init makes a proxy',
    ]],
    [analysis("root://h//a.root", "x509-proxy: true"), [
      "analysis.yaml:4:13: x509-proxy: true is not the name of a file: false sends none, and " +
      "without the key a proxy is looked for",
    ]],
  ];
  for (const [yaml, lines] of rows) {
    if (lines.length > 0) assert.deepEqual(await refusal(yaml), lines);
    else await assert.rejects(refusal(yaml), /Missing expected rejection/);
  }
  assert.deepEqual(
    await refusal(analysis("root://h//a.root"), {}, { x509Proxy: "/nowhere/proxy" }),
    ['--x509-proxy: "/nowhere/proxy" is not there; voms-proxy-init makes a proxy'],
  );
});
