import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { concat } from "../../core/bytes.ts";
import { RunError } from "../../core/errors.ts";
import { relocationsPath, writeRelocations } from "../../core/package/relocations.ts";
import { findProgram } from "../../io/programs.ts";
import { isReady, markerName, unpackEnvironment } from "../../package/unpack.ts";
import { needs } from "../support/skip.ts";
import { environmentMembers, type Member, tarOf, writeArchive } from "../support/tar.ts";
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";

const { signal } = new AbortController();

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

async function refused(archive: string, target: string, options = {}): Promise<string> {
  try {
    await unpackEnvironment(archive, target, { signal, ...options });
  } catch (error) {
    assert.ok(error instanceof RunError, String(error));
    return error.message;
  }
  assert.fail(`${archive} was unpacked`);
}

/** Five members that no packer makes, and what is said of each. */
const hostile: readonly (readonly [string, readonly Member[], RegExp])[] = [
  ["up", [{ path: "../evil", text: "x" }], /has "\.\.", and could lie outside/],
  ["absolute", [{ path: "/tmp/wqx-evil", text: "x" }], /is an absolute path/],
  [
    "through a link",
    [{ path: "l", kind: "link", target: ".." }, { path: "l/evil", text: "x" }],
    /the link "l" leads to "\.\.", outside/,
  ],
  ["hard link", [{ path: "h", kind: "hard-link", target: "../secret" }], /has "\.\."/],
  ["device", [{ path: "dev", typeFlag: "3" }], /"dev" is a character device/],
  ["pipe", [{ path: "pipe", typeFlag: "6" }], /"pipe" is a named pipe/],
  [
    "zeros",
    [{ path: "zeros", text: "\0".repeat(1e6), size: 10 * 1024 ** 3 }],
    /with "zeros" it has more than 256 MB unpacked/,
  ],
  ["no environment", [{ path: "readme", text: "hello" }], /it has no bin\/activate; make one with/],
];

Deno.test("a hostile archive is refused in a sentence, and leaves nothing behind", async (t) => {
  await using folder = await TempFolder.create();
  await folder.write("secret", "keep me");
  for (const [name, members, message] of hostile) {
    await t.step(name, async () => {
      const order = name === "no environment" ? members : [...environmentMembers, ...members];
      const archive = await writeArchive(folder.join("hostile.tar.gz"), order);
      assert.match(await refused(archive, folder.join("env")), message);
      assert.deepEqual(namesIn(folder.join("env")), []);
      assert.deepEqual(namesIn(folder.path), ["env", "hostile.tar.gz", "secret"]);
    });
  }
  const archive = await writeArchive(folder.join("hostile.tar.gz"), environmentMembers);
  assert.match(
    await refused(archive, folder.join("env"), { bytesMax: 100 }),
    /unpacked, and no more is allowed/,
  );
});

Deno.test("what is no archive, or only the beginning of one, is said to be so", async (t) => {
  await using folder = await TempFolder.create();
  const whole = tarOf([...environmentMembers, { path: "noise", text: noise(300_000) }]);
  const gz = gzipSync(whole), zst = zstdCompressSync(whole);
  const cases: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ["empty", new Uint8Array(), /it is empty/],
    ["text", new TextEncoder().encode("hello".repeat(200)), /neither a tar archive nor one/],
    ["zip", new Uint8Array([0x50, 0x4b, 3, 4]), /it is a zip archive; pack .* as \.tar\.gz/],
    ["gzip in half", gz.subarray(0, gz.length / 2), /it is cut off: its compressed data end/],
    ["gzip without its end", gz.subarray(0, gz.length - 4), /it is cut off/],
    ["gzip with a changed byte", gz.with(gz.length >> 1, gz[gz.length >> 1]! ^ 255), /damaged/],
    ["zstd in half", zst.subarray(0, zst.length / 2), /cut off/],
    ["tar in half", whole.slice(0, whole.length / 2), /cut off after \d+ bytes/],
    ["tar up to a member's end", whole.slice(0, whole.length - 1024), /cut off after/],
  ];
  for (const [name, bytes, message] of cases) {
    await t.step(name, async () => {
      await Deno.writeFile(folder.join("archive"), bytes);
      assert.match(await refused(folder.join("archive"), folder.join("env")), message);
      assert.deepEqual(namesIn(folder.join("env")), []);
    });
  }
  assert.match(await refused(folder.join("none"), folder.join("env")), /there is no such file/);
});

function noise(length: number): string {
  let state = 1;
  const next = () => (state = Math.imul(state, 48271) >>> 0) % 94 + 33;
  return Array.from({ length }, () => String.fromCharCode(next())).join("");
}

Deno.test("every format is known by its content: several members, several frames, no name", async (t) => {
  await using folder = await TempFolder.create();
  const tar = tarOf([...environmentMembers, { path: "noise", text: noise(100_000) }]);
  const halves = [tar.slice(0, 50_000), tar.slice(50_000)];
  await Deno.writeFile(folder.join("tar"), tar);
  const formats: Record<string, Uint8Array | null> = {
    tar,
    gzip: concat(halves.map((half) => gzipSync(half))),
    zstd: concat(halves.map((half) => zstdCompressSync(half))),
    bzip2: await compressed("bzip2", folder.join("tar")),
    xz: await compressed("xz", folder.join("tar")),
  };
  for (const [name, bytes] of Object.entries(formats)) {
    if (bytes === null) continue;
    await t.step(name, async () => {
      await Deno.writeFile(folder.join("archive"), bytes);
      const target = folder.join(`env-${name}`);
      await unpackEnvironment(folder.join("archive"), target, { signal });
      assert.equal(await Deno.readTextFile(`${target}/noise`), noise(100_000));
      assert.ok(isReady(target));
    });
  }
});

async function compressed(program: string, path: string): Promise<Uint8Array | null> {
  if ("why" in findProgram(program, Deno.env.get("PATH") ?? "")) return null;
  return (await new Deno.Command(program, { args: ["-c", path] }).output()).stdout;
}

Deno.test("modes, times, links and hard links are as they were packed", async () => {
  await using folder = await TempFolder.create();
  const archive = await writeArchive(folder.join("e"), [
    ...environmentMembers,
    { path: "lib/a.py", text: "a", mode: 0o444, timeS: 1_600_000_001 },
    { path: "lib/b.py", kind: "hard-link", target: "lib/a.py" },
    { path: "lib64", kind: "link", target: "lib" },
    { path: "empty", kind: "folder", mode: 0o755 },
    { path: "bin/su", text: "x", mode: 0o6755 },
    { path: "twice", text: "first" },
    { path: "twice", text: "second" },
  ]);
  const env = folder.join("env");
  await unpackEnvironment(archive, env, { signal });
  const a = Deno.statSync(`${env}/lib/a.py`), b = Deno.statSync(`${env}/lib/b.py`);
  assert.equal(a.ino, b.ino);
  assert.equal(a.mode! & 0o7777, 0o444);
  assert.equal(a.mtime?.getTime(), 1_600_000_001_000);
  assert.equal(Deno.readLinkSync(`${env}/lib64`), "lib");
  assert.equal(Deno.statSync(`${env}/bin/su`).mode! & 0o7777, 0o755);
  assert.equal(Deno.readTextFileSync(`${env}/twice`), "second");
  assert.deepEqual(namesIn(`${env}/empty`), []);
  assert.deepEqual(
    namesIn(env),
    [markerName, "bin", "empty", "lib", "lib64", "twice"].sort(),
  );
});

const placeholder = `/placeholder/${"x".repeat(200)}`;

/** Files that hold it, and what tells of them. */
function relocatable(tells: "json" | "late json" | "conda-unpack" | "program"): Member[] {
  const relocations = [
    { path: "share/x.cfg", placeholder, mode: "text" },
    { path: "share/link.cfg", placeholder, mode: "text" },
    { path: "share/gone.cfg", placeholder, mode: "text" },
    { path: "share/without.cfg", placeholder, mode: "text" },
    { path: "lib/x.so", placeholder, mode: "binary" },
  ] as const;
  const json = { path: relocationsPath, text: writeRelocations(relocations) };
  const records = relocations.map(({ path, mode }) => `('${path}', '${placeholder}', '${mode}')`);
  const files: Member[] = [
    ...environmentMembers,
    { path: "share/x.cfg", text: `at ${placeholder}/share\n`, mode: 0o444 },
    { path: "share/link.cfg", kind: "link", target: "x.cfg" },
    { path: "share/without.cfg", text: "nothing to replace" },
    { path: "lib/x.so", text: `A\0${placeholder}/lib:${placeholder}/b\0end` },
  ];
  const script = (text: string): Member => ({ path: "bin/conda-unpack", text, mode: 0o755 });
  switch (tells) {
    case "json":
      return [json, ...files, script("#!/bin/false\n")];
    case "late json":
      return [...files, script("#!/bin/false\n"), json];
    case "conda-unpack":
      return [...files, script(`#!/bin/false\n_prefix_records = [\n${records.join(",\n")}\n]\n`)];
    case "program":
      return [
        ...files,
        script(
          '#!/bin/sh\ncd "$(dirname "$0")/.."\nhello >&2 || exit 3\n' +
            `sed "s|${placeholder}|$PWD|" share/x.cfg >y && chmod 644 share/x.cfg && mv y share/x.cfg\n`,
        ),
      ];
  }
}

for (const tells of ["json", "late json", "conda-unpack", "program"] as const) {
  Deno.test(`placeholders become the prefix where the archive tells of them by ${tells}`, async () => {
    await using folder = await TempFolder.create();
    const archive = await writeArchive(folder.join("e"), relocatable(tells));
    const env = folder.join("env");
    await unpackEnvironment(archive, env, { signal });
    assert.equal(Deno.readTextFileSync(`${env}/share/x.cfg`), `at ${env}/share\n`);
    if (tells === "program") return;
    assert.equal(Deno.statSync(`${env}/share/x.cfg`).mode! & 0o777, 0o444);
    // Byte code tells by the time whether it was made of this text.
    const timeOf = (path: string) => Deno.statSync(`${env}/${path}`).mtime?.getTime();
    assert.equal(timeOf("share/without.cfg"), 1_700_000_000_000);
    assert.notEqual(timeOf("share/x.cfg"), 1_700_000_000_000);
    const binary = Deno.readTextFileSync(`${env}/lib/x.so`);
    const padding = "\0".repeat(2 * (placeholder.length - env.length));
    assert.equal(binary, `A\0${env}/lib:${env}/b${padding}\0end`);
  });
}

Deno.test("a prefix too long for a compiled file is refused, and so is a failing program", async () => {
  await using folder = await TempFolder.create();
  const archive = await writeArchive(folder.join("e"), relocatable("json"));
  const long = folder.join("y".repeat(230));
  assert.match(await refused(archive, long), /lib\/x\.so: compiled files have room for a path of/);
  assert.deepEqual(namesIn(long), []);
  const failing = await writeArchive(folder.join("f"), [
    ...environmentMembers,
    { path: "bin/conda-unpack", text: "#!/bin/sh\necho no luck >&2\nexit 7\n", mode: 0o755 },
  ]);
  const message = await refused(failing, folder.join("env"));
  assert.match(message, /bin\/conda-unpack failed with exit code 7: no luck/);
  assert.ok(!isReady(folder.join("env")));
});

Deno.test("what another attempt left is replaced, and what is ready is left alone", async () => {
  await using folder = await TempFolder.create();
  const archive = await writeArchive(folder.join("e"), relocatable("json"));
  const env = folder.join("env");
  await folder.write("env/bin/conda-unpack", "half of it");
  await folder.write("env/share/x.cfg", "half of it");
  await folder.write("env/share/own", "not ours");
  await folder.write("env/.wqx-unpacking/lib/x.so", "of one that was killed");
  await Deno.symlink("/nowhere", `${env}/lib`);
  await unpackEnvironment(archive, env, { signal });
  assert.equal(Deno.readTextFileSync(`${env}/share/x.cfg`), `at ${env}/share\n`);
  assert.equal(Deno.readTextFileSync(`${env}/share/own`), "not ours");
  assert.ok(Deno.lstatSync(`${env}/lib`).isDirectory);
  assert.ok(!namesIn(env).includes(".wqx-unpacking"));

  await Deno.writeTextFile(`${env}/bin/hello`, "changed");
  await Deno.remove(archive);
  await unpackEnvironment(archive, env, { signal });
  assert.equal(Deno.readTextFileSync(`${env}/bin/hello`), "changed");
});

Deno.test("unpackEnvironment() waits for the lock that flock holds on the folder", async () => {
  await using folder = await TempFolder.create();
  const archive = await writeArchive(folder.join("e"), environmentMembers);
  const env = folder.join("env");
  await Deno.mkdir(env);
  const holder = new Deno.Command("flock", {
    args: [env, "sh", "-c", "echo held; read _"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = holder.stdout.getReader();
  await reader.read();
  const message = await refused(archive, env, { lockWaitMs: 50 });
  assert.match(message, /somebody else has been unpacking there for/);

  let isDone = false;
  const unpacking = unpackEnvironment(archive, env, { signal }).then(() => isDone = true);
  const stop = new AbortController();
  const stopped = unpackEnvironment(archive, env, { signal: stop.signal });
  stop.abort(new Error("stopped"));
  await assert.rejects(stopped, /stopped/);
  assert.equal(isDone, false);
  await holder.stdin.close();
  await holder.status;
  reader.releaseLock();
  await holder.stdout.cancel();
  await unpacking;
  assert.ok(isReady(env));
});

Deno.test("one that is stopped leaves nothing, and two at once make one", async () => {
  await using folder = await TempFolder.create();
  const big: Member[] = [];
  for (let i = 0; i < 3000; i++) big.push({ path: `lib/f${i}`, text: noise(2000) });
  const archive = await writeArchive(folder.join("e"), [...environmentMembers, ...big]);
  const env = folder.join("env");
  const stop = new AbortController();
  const stopped = unpackEnvironment(archive, env, { signal: stop.signal });
  const isWriting = () => {
    try {
      return namesIn(`${env}/.wqx-unpacking/lib`).length > 10;
    } catch {
      return false;
    }
  };
  await until(isWriting, { what: "the first files" });
  stop.abort(new Error("stopped"));
  await assert.rejects(stopped, /stopped/);
  await until(() => namesIn(env).length === 0, { what: "an empty folder" });

  await Promise.all([1, 2].map(() => unpackEnvironment(archive, env, { signal })));
  assert.equal(namesIn(`${env}/lib`).length, 3000);
  assert.deepEqual(namesIn(env), [markerName, "bin", "lib"]);
});

const canMount = Deno.uid() === 0 &&
  (await new Deno.Command("unshare", { args: ["-m", "true"], stderr: "null" }).output()
    .catch(() => ({ success: false }))).success;

Deno.test({
  ...needs(canMount, "a small file system can only be made by root", "a full disk"),
  async fn() {
    await using folder = await TempFolder.create();
    // Sparse text that packs well, so that it is the disk that ends it and not the ratio.
    const files = Array.from({ length: 40 }, (_, i) => ({ path: `f${i}`, text: noise(100_000) }));
    const archive = await writeArchive(folder.join("e"), [...environmentMembers, ...files]);
    await Deno.mkdir(folder.join("small"));
    const program = `
      import { unpackEnvironment } from ${
      JSON.stringify(import.meta.resolve("../../package/unpack.ts"))
    };
      try {
        await unpackEnvironment(...Deno.args, { signal: new AbortController().signal });
      } catch (error) {
        console.log(error.message, [...Deno.readDirSync(Deno.args[1])].length);
      }`;
    await Deno.writeTextFile(folder.join("main.ts"), program);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const deno = `${Deno.execPath()} run --no-check -A --config ${config} ${
      folder.join("main.ts")
    }`;
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: [
        "-m",
        "sh",
        "-c",
        `mount -t tmpfs -o size=2m tmpfs ${folder.join("small")} && ` +
        `${deno} ${archive} ${folder.join("small")}`,
      ],
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.match(
      said,
      /(?:no more is free on the disk|the disk is full; free some of .*) 0\n/,
      said + new TextDecoder().decode(stderr),
    );
  },
});
