import assert from "node:assert/strict";
import { unpackEnvironment } from "../../package/unpack.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const python = Deno.env.get("WQX_TEST_PACKAGING") ?? "";
const withCondaPack = (name: string) => needs(python !== "", "WQX_TEST_PACKAGING is not set", name);

const placeholder = `/placeholder/${"x".repeat(200)}`;

/** A conda prefix with one package, and that package in a cache beside it. */
async function condaPrefix(folder: TempFolder): Promise<{ prefix: string; cache: string }> {
  const prefix = folder.join("built"), cache = folder.join("cache/thing-1.0-0");
  const files: Record<string, string> = {
    "share/thing.cfg": "prefix=PREFIX\n",
    "lib/thing.bin": "A\0PREFIX/lib:PREFIX/share\0end\0",
    "bin/thing": '#!/bin/sh\ncat "PREFIX/share/thing.cfg"\n',
  };
  const paths = [];
  for (const [path, text] of Object.entries(files)) {
    const file_mode = path.endsWith(".bin") ? "binary" : "text";
    paths.push({ _path: path, path_type: "hardlink", prefix_placeholder: placeholder, file_mode });
    const original = text.replaceAll("PREFIX", placeholder);
    await folder.write(`cache/thing-1.0-0/${path}`, original);
    const padding = file_mode === "binary" ? 2 * (placeholder.length - prefix.length) : 0;
    const installed = text.replaceAll("PREFIX", prefix);
    await folder.write(`built/${path}`, installed.replace("\0end", "\0".repeat(padding) + "\0end"));
  }
  for (const place of [prefix, cache]) await Deno.chmod(`${place}/bin/thing`, 0o755);
  await folder.write(
    "cache/thing-1.0-0/info/paths.json",
    JSON.stringify({ paths_version: 1, paths }),
  );
  await folder.write("cache/thing-1.0-0/info/index.json", '{"name":"thing","version":"1.0"}');
  const record = {
    name: "thing",
    version: "1.0",
    build: "0",
    url: "file:///channel/noarch/thing-1.0-0.conda",
    files: Object.keys(files),
    link: { source: cache, type: 1 },
  };
  await folder.write("built/conda-meta/thing-1.0-0.json", JSON.stringify(record));
  await folder.write("built/conda-meta/history", "");
  // Not of a package: text files are all recorded, whether they hold the prefix or not.
  await folder.write("built/etc/own.cfg", `mine=${prefix}\n`);
  return { prefix, cache };
}

for (const cached of [true, false]) {
  const name = `an archive by conda-pack works ${cached ? "with" : "without"} a package cache`;
  Deno.test({
    ...withCondaPack(name),
    async fn() {
      await using folder = await TempFolder.create();
      const { prefix, cache } = await condaPrefix(folder);
      if (!cached) await Deno.remove(cache, { recursive: true });
      const archive = folder.join("env.tar.gz");
      const { success, stderr } = await new Deno.Command(python, {
        args: ["-c", "from conda_pack.cli import main; main()", "-p", prefix, "-o", archive, "-q"],
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      await Deno.remove(prefix, { recursive: true });
      const target = folder.join("elsewhere");
      await unpackEnvironment(archive, target, { signal: new AbortController().signal });

      const theirs = folder.join("theirs");
      await Deno.mkdir(theirs);
      await new Deno.Command("tar", { args: ["-xf", archive, "-C", theirs] }).output();
      const unpacked = await new Deno.Command(python, { args: [`${theirs}/bin/conda-unpack`] })
        .output();
      assert.ok(unpacked.success, new TextDecoder().decode(unpacked.stderr));

      assert.equal(Deno.readTextFileSync(`${target}/share/thing.cfg`), `prefix=${target}\n`);
      assert.equal(Deno.readTextFileSync(`${target}/etc/own.cfg`), `mine=${target}\n`);
      const thing = await new Deno.Command(`${target}/bin/thing`).output();
      assert.equal(new TextDecoder().decode(thing.stdout), `prefix=${target}\n`);
      // Without its originals conda-pack takes it for text, as it takes all that is UTF-8.
      const binary = Deno.readTextFileSync(`${target}/lib/thing.bin`);
      assert.ok(binary.includes(`${target}/lib:${target}/share\0`), binary);
      if (cached) {
        assert.equal(binary.length, 2 * placeholder.length + "A\0/lib:/share\0end\0".length);
      }
      for (const path of ["share/thing.cfg", "etc/own.cfg", "bin/thing"]) {
        const expected = Deno.readTextFileSync(`${theirs}/${path}`).replaceAll(theirs, target);
        assert.equal(Deno.readTextFileSync(`${target}/${path}`), expected);
      }
    },
  });
}
