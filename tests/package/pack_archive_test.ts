import assert from "node:assert/strict";
import { memberTimeS } from "../../core/package/contents.ts";
import { ownPlaceholder } from "../../core/package/contents.ts";
import { parseRelocations } from "../../core/package/relocations.ts";
import { GzipMembers } from "../../package/gzip_members.ts";
import { ArchiveWriter } from "../../package/archive_writer.ts";
import { packPrefix } from "../../package/pack.ts";
import { end, run, untar } from "../support/conda_prefix.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

/** A prefix of conda's form made of these files; a text that begins with `->` is a link. */
async function made(folder: TempFolder, files: Readonly<Record<string, string>>): Promise<string> {
  const prefix = folder.join("env");
  await folder.write("env/conda-meta/history", "");
  for (const [path, text] of Object.entries(files)) {
    const whole = `${prefix}/${path}`;
    await Deno.mkdir(whole.slice(0, whole.lastIndexOf("/")), { recursive: true });
    if (text.startsWith("->")) await Deno.symlink(text.slice(2), whole);
    else await Deno.writeTextFile(whole, text, { mode: path.startsWith("bin/") ? 0o755 : 0o644 });
  }
  return prefix;
}

const text = (path: string) => Deno.readTextFile(path);
const entry = (path: string, size: number) =>
  ({ path, kind: "file", mode: 0o644, size, timeS: memberTimeS }) as const;

Deno.test("files of the user's own hold a placeholder in the archive, and links stay inside", async () => {
  await using folder = await TempFolder.create();
  const outside = await folder.write("outside.txt", "from outside\n");
  const here = folder.join("env");
  const prefix = await made(folder, {
    "bin/tool": `#!${here}/bin/python\nprint(1)\n`,
    "bin/twice": `#!${here}/bin/python\nx = "${here}"\n`,
    "share/own.cfg": `root=${here}/share\n`,
    "share/plain.cfg": "nothing\n",
    "share/blob": `\0${here}/x\0`,
    "share/absolute": `->${here}/share/plain.cfg`,
    "share/relative": "->plain.cfg",
    "share/leading": `->${outside}`,
    "share/lost": "->/no/such/file",
    "share/up": "->../../../outside",
  });
  await Deno.mkdir(`${prefix}/share/empty`);
  const report = await packPrefix(prefix, folder.join("env.tar.gz"));
  const place = await untar(folder.join("env.tar.gz"), folder.join("place"));
  assert.equal(await text(`${place}/bin/tool`), "#!/usr/bin/env python\nprint(1)\n");
  assert.equal(await text(`${place}/share/own.cfg`), `root=${ownPlaceholder}/share\n`);
  assert.deepEqual(
    parseRelocations(await text(`${place}/conda-meta/wqx-relocate.json`)).map(({ path }) => path),
    ["bin/twice", "share/own.cfg"],
  );
  assert.equal(await Deno.readLink(`${place}/share/absolute`), "plain.cfg");
  assert.equal(await Deno.readLink(`${place}/share/relative`), "plain.cfg");
  assert.equal(await text(`${place}/share/leading`), "from outside\n");
  assert.ok((await Deno.stat(`${place}/share/empty`)).isDirectory);
  for (const name of ["lost", "up"]) {
    await assert.rejects(Deno.lstat(`${place}/share/${name}`), Deno.errors.NotFound);
  }
  assert.equal(report.warnings.length, 3);
  assert.match(report.warnings[0]!, /Compiled files hold the path .*: share\/blob; if they/);
  assert.match(report.warnings[1]!, /what they lead to is packed: share\/leading/);
  assert.match(report.warnings[2]!, /left out: share\/lost, share\/up/);
});

Deno.test("what is no conda environment, or has editable or missing files, is refused", async () => {
  await using folder = await TempFolder.create();
  const out = folder.join("env.tar.gz");
  await folder.write("plain/x", "");
  await assert.rejects(packPrefix(folder.join("plain"), out), {
    name: "RunError",
    message: /plain is no conda environment: it has no folder conda-meta/,
  });
  await folder.write("venv/pyvenv.cfg", "");
  await assert.rejects(packPrefix(folder.join("venv"), out), /pack it with --from-venv/);
  const site = "lib/python3.11/site-packages";
  const prefix = await made(folder, {
    "conda-meta/python-3.11.7-0.json": JSON.stringify({
      name: "python",
      version: "3.11.7",
      files: ["bin/python3.11"],
    }),
    [`${site}/mine-1.0.dist-info/direct_url.json`]:
      '{"url": "file:///src/mine", "dir_info": {"editable": true}}',
    [`${site}/older.egg-link`]: "/src/older\n.\n",
  });
  await assert.rejects(packPrefix(prefix, out), {
    name: "RunError",
    message:
      /editable.*: mine \(\/src\/mine\), older \(\/src\/older\); install them with "pip install PATH" without -e/,
  });
  await assert.rejects(
    packPrefix(prefix, out, { ignoreEditable: true }),
    /gone from .*: python: bin\/python3\.11; install these packages again, or/,
  );
  const { warnings } = await packPrefix(prefix, out, {
    ignoreEditable: true,
    ignoreMissing: true,
  });
  assert.match(warnings.join("\n"), /Workers will not find these packages.*mine/);
  assert.match(warnings.join("\n"), /Packed without files.*bin\/python3\.11/);
  await folder.write("env/conda-meta/bad-1-0.json", "{");
  await assert.rejects(packPrefix(prefix, out), /Cannot read .*bad-1-0\.json: .*damaged\?/);
  await folder.write(
    "env/conda-meta/bad-1-0.json",
    JSON.stringify({ name: "bad", files: [7], link: { source: folder.join("cache/bad") } }),
  );
  await folder.write("cache/bad/info/paths.json", "[");
  await assert.rejects(packPrefix(prefix, out), /Cannot read .*info\/paths\.json: .*damaged\?/);
  await assert.rejects(packPrefix(prefix, out, { level: 11 }), {
    name: "UsageError",
    message: /Cannot compress \.tar\.gz at level 11: levels go from 0 to 9/,
  });
});

Deno.test("patterns leave files out, and take some of them back", async () => {
  await using folder = await TempFolder.create();
  const prefix = await made(folder, { "share/doc/a": "", "share/doc/LICENSE": "", "lib/x.a": "" });
  const { sized } = await packPrefix(prefix, folder.join("env.tar"), {
    exclude: ["share/doc/*", "*.a"],
    include: ["*/LICENSE"],
  });
  assert.deepEqual(sized.map(({ path }) => path), ["conda-meta/history", "share/doc/LICENSE"]);
});

const hasZstd = (await end(["tar", "--help"])).stdout.includes("--zstd") &&
  (await end(["sh", "-c", "command -v zstd"])).code === 0;

for (const format of ["tar", "tar.gz", "tar.zst"] as const) {
  Deno.test({
    ...needs(
      format !== "tar.zst" || hasZstd,
      "no zstd program",
      `GNU tar reads a .${format} of wqx`,
    ),
    fn: async () => {
      await using folder = await TempFolder.create();
      const out = folder.join(`a.${format}`);
      const writer = await ArchiveWriter.create(out, { format, level: 4 });
      // Small ones, and one that takes several pieces.
      const contents = Array.from(
        { length: 300 },
        (_, i) => new Uint8Array(i === 150 ? 5_000_000 : 20_000 + i).map((_, j) => (i * j) % 251),
      );
      for (const [i, content] of contents.entries()) {
        await writer.add(entry(`f${i}`, content.length), content);
      }
      assert.equal(await writer.finish(), (await Deno.stat(out)).size);
      const place = await untar(out, folder.join("place"));
      for (const [i, content] of contents.entries()) {
        assert.deepEqual(await Deno.readFile(`${place}/f${i}`), content);
      }
      if (format === "tar.gz") await run(["gzip", "-t", out]);
    },
  });
}

Deno.test("a disk that is full, and an interruption, leave nothing behind", async () => {
  for (const format of ["tar", "tar.gz", "tar.zst"] as const) {
    await using folder = await TempFolder.create();
    let left = 100_000;
    const writer = await ArchiveWriter.create(folder.join("a"), {
      format,
      level: 1,
      open: async (path) => {
        const file = await Deno.open(path, { write: true, createNew: true });
        return {
          async write(bytes) {
            left -= bytes.length;
            if (left < 0) throw new Error("No space left on device (os error 28)");
            await file.write(bytes);
          },
          close: () => file.close(),
        };
      },
    });
    const filling = async () => {
      for (let i = 0; i < 500; i++) {
        const content = crypto.getRandomValues(new Uint8Array(60_000));
        await writer.add(entry(`f${i}`, content.length), content);
      }
      await writer.finish();
    };
    await assert.rejects(filling(), {
      name: "RunError",
      message: /Cannot write .*\/a after \d+ bytes: No space left on device.*nothing is left of it/,
    });
    await writer.abandon();
    assert.deepEqual([...Deno.readDirSync(folder.path)], []);
  }
  await using folder = await TempFolder.create();
  const prefix = await made(folder, { "share/a": "x", "share/b": "y" });
  const stop = new AbortController();
  const packing = packPrefix(prefix, folder.join("env.tar.gz"), {
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  await assert.rejects(packing, { name: "AbortError" });
  assert.deepEqual([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["env"]);
  await assert.rejects(packPrefix(prefix, folder.join("no/such/folder.tar.gz")), {
    name: "RunError",
    message: /Cannot make .*no\/such\/folder\.tar\.gz: No such file/,
  });
});

Deno.test("threads that cannot start are an error, before and after a piece is there", async () => {
  const sink = { write: () => Promise.resolve(), free: () => {} };
  for (const early of [true, false]) {
    const members = await GzipMembers.create(4, sink, new URL("file:///no/such/module.js"));
    const pushing = async () => {
      // A thread says so sooner or later; what was pushed before waits for it.
      for (;; await new Promise((resolve) => setTimeout(resolve, 10))) {
        await members.push(new Uint8Array(10));
        if (!early) await members.end();
      }
    };
    await assert.rejects(pushing(), /compressing failed: .*no\/such\/module/);
    members.drop();
  }
});

const python = (await end(["sh", "-c", "command -v python3"])).stdout.trim();

Deno.test({
  ...needs(
    python !== "",
    "no python3",
    "byte code in an archive is that of its source, at the archive's time",
  ),
  fn: async () => {
    await using folder = await TempFolder.create();
    const prefix = await made(folder, {
      "lib/fresh.py": "x = 1\n",
      "lib/stale.py": "x = 1\n",
      "lib/moved.py": `x = "${folder.join("env")}"\n`,
    });
    await run([python, "-m", "compileall", "-q", `${prefix}/lib`]);
    await Deno.writeTextFile(`${prefix}/lib/stale.py`, "x = 'longer'\n");
    const archive = folder.join("env.tar.gz");
    await packPrefix(prefix, archive);
    const place = await untar(archive, folder.join("place"));
    const names = (await Array.fromAsync(Deno.readDir(`${place}/lib/__pycache__`)))
      .map(({ name }) => name.split(".")[0]);
    assert.deepEqual(names, ["fresh"]);
    // Python takes it: it would say that it compiles.
    const { stderr } = await end([python, "-v", "-c", "import fresh"], {
      PYTHONPATH: `${place}/lib`,
    });
    assert.match(stderr, /matches .*\/fresh\.py/);
    assert.equal((await Deno.stat(`${place}/lib/fresh.py`)).mtime?.getTime(), memberTimeS * 1000);
  },
});
