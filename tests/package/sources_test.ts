import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { RunError } from "../../core/errors.ts";
import type { GitSource, HttpSource } from "../../core/package/spec.ts";
import { fetchSources, type SourceOptions } from "../../package/sources.ts";
import { HttpFiles } from "../support/http_files.ts";
import { needs } from "../support/skip.ts";
import { TempFolder } from "../support/temp.ts";

const options = (temp: TempFolder): SourceOptions => ({
  cache: temp.join("cache"),
  env: { PATH: Deno.env.get("PATH") ?? "", HOME: temp.path },
  signal: new AbortController().signal,
});

async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command(program, {
    args,
    cwd,
    env: {
      GIT_AUTHOR_NAME: "a",
      GIT_AUTHOR_EMAIL: "a@test",
      GIT_COMMITTER_NAME: "a",
      GIT_COMMITTER_EMAIL: "a@test",
      GIT_CONFIG_GLOBAL: "/dev/null",
    },
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

async function prefixIn(temp: TempFolder): Promise<string> {
  await Deno.mkdir(temp.join("a prefix"));
  return temp.join("a prefix");
}

const hasGit = await new Deno.Command("git", { args: ["--version"] }).output().then(
  ({ success }) => success,
  () => false,
);

Deno.test({
  ...needs(hasGit, "there is no git", "a repository is fetched at its branch, tag or commit"),
  async fn() {
    await using temp = await TempFolder.create();
    const repo = temp.join("repo");
    await Deno.mkdir(repo);
    const git = (...args: string[]) => run(repo, "git", ...args);
    await git("init", "--quiet", "--initial-branch=main");
    const commits: string[] = [];
    for (const text of ["one", "two", "three"]) {
      await temp.write("repo/sf.txt", `${text}\n`);
      await git("add", ".");
      await git("commit", "--quiet", "-m", text);
      commits.push(await git("rev-parse", "HEAD"));
      if (text === "one") await git("tag", "v1");
      if (text === "two") await git("branch", "old");
    }
    const prefix = await prefixIn(temp);
    const rows: [string | null, string, string][] = [
      [null, "three", commits[2]!],
      ["v1", "one", commits[0]!],
      ["old", "two", commits[1]!],
      [commits[0]!, "one", commits[0]!],
    ];
    for (const [ref, text, commit] of rows) {
      const source: GitSource = { name: "SF", remote: repo, ref };
      const fetched = await fetchSources(prefix, [source], [], options(temp));
      assert.deepEqual(fetched.git, [{ name: "SF", remote: repo, ref: commit }]);
      assert.equal(await Deno.readTextFile(`${prefix}/poncho/data/SF/sf.txt`), `${text}\n`);
    }
    const locked = { name: "SF", remote: repo, ref: commits[1]! };
    assert.deepEqual((await fetchSources(prefix, [locked], [], options(temp))).git, [locked]);
    await assert.rejects(Deno.stat(`${prefix}/poncho/data/SF/.git`), Deno.errors.NotFound);
    const shell = '. "$1/poncho/set_env" "$1"; cat "$SF/sf.txt"';
    assert.equal(await run("/", "bash", "-c", shell, "-", prefix), "two");
    await assert.rejects(
      fetchSources(prefix, [{ ...locked, ref: "0".repeat(40) }], [], options(temp)),
      (error) => error instanceof RunError && /Cannot fetch .*repo at 0{40}: /.test(error.message),
    );
    await assert.rejects(
      fetchSources(prefix, [{ name: "X", remote: `${repo}-not`, ref: null }], [], options(temp)),
      /Cannot fetch .*repo-not: .*not/,
    );
    const option = { name: "X", remote: "--upload-pack=touch x", ref: null };
    await assert.rejects(fetchSources(prefix, [option], [], options(temp)), /may begin with "-"/);
    const noGit = { ...options(temp), env: { PATH: "/nowhere" } };
    await assert.rejects(fetchSources(prefix, [locked], [], noGit), /no git on PATH/);
  },
});

const file = (name: string, url: string, more: Partial<HttpSource> = {}): HttpSource => ({
  name,
  url,
  type: "file",
  compression: null,
  ...more,
});

Deno.test("downloads come as files, unpacked, or both, and redirects are followed", async () => {
  await using temp = await TempFolder.create();
  await temp.write("served/in/golden.json", '{"1": 2}\n');
  const served = temp.join("served");
  await run(served, "tar", "-czf", "lumi.tar.gz", "in");
  await run(served, "tar", "-cf", "lumi.tar", "in");
  await run(served, "gzip", "-k", "in/golden.json");
  await using server = new HttpFiles(served, { redirect: true });
  const prefix = await prefixIn(temp);
  const fetched = await fetchSources(prefix, [], [
    file("GOLDEN", server.url("in/golden.json")),
    file("MOVED", server.url("to/in/golden.json")),
    file("PLAIN", server.url("in/golden.json.gz"), { compression: "gzip" }),
    file("TAR", server.url("lumi.tar"), { type: "tar" }),
    file("TGZ", server.url("lumi.tar.gz"), { type: "tar", compression: "gzip" }),
  ], options(temp));
  for (const path of ["GOLDEN", "MOVED", "PLAIN", "TAR/in/golden.json", "TGZ/in/golden.json"]) {
    assert.equal(await Deno.readTextFile(`${prefix}/poncho/data/${path}`), '{"1": 2}\n', path);
  }
  const text = await Deno.readTextFile(`${prefix}/poncho/set_env`);
  assert.equal(text.split("\n")[0], 'export GOLDEN="$1"/poncho/data/GOLDEN');
  const hash = createHash("sha256").update('{"1": 2}\n').digest("hex");
  assert.equal(fetched.http[0]!.sha256, hash);
  const again = file("GOLDEN", server.url("in/golden.json"), { sha256: hash });
  assert.deepEqual((await fetchSources(prefix, [], [again], options(temp))).http, [again]);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(temp.join("cache/downloads"))), []);
});

Deno.test("what cannot be fetched, or is not what was asked for, is an error", async () => {
  await using temp = await TempFolder.create();
  await temp.write("served/page.html", "<html>no</html>");
  await using server = new HttpFiles(temp.join("served"));
  const prefix = await prefixIn(temp);
  const url = server.url("page.html");
  const rows: [HttpSource, RegExp][] = [
    [file("X", server.url("missing")), /Cannot download .*missing: the server answers 404/],
    [file("X", url, { sha256: "0".repeat(64) }), /its SHA-256 is/],
    [file("X", url, { type: "tar" }), /Cannot unpack .*page\.html: it is neither a tar archive/],
    [file("X", url, { compression: "gzip" }), /Cannot unpack .*page\.html: /],
    [file("a-b", url), /Cannot fetch data as "a-b": a name is a variable's/],
    [file("../x", url), /a name is a variable's/],
  ];
  for (const [source, pattern] of rows) {
    await assert.rejects(
      fetchSources(prefix, [], [source], options(temp)),
      (error) => error instanceof RunError && pattern.test(error.message),
    );
  }
  await assert.rejects(
    fetchSources(prefix, [], [file("X", url), file("X", url)], options(temp)),
    /as X twice/,
  );
});

Deno.test("an archive of data that would leave its folder is refused", async () => {
  await using temp = await TempFolder.create();
  await temp.write("served/in/x", "x");
  await run(temp.join("served"), "tar", "-cPf", "bad.tar", "--transform", "s,^,../,", "in/x");
  await using server = new HttpFiles(temp.join("served"));
  const prefix = await prefixIn(temp);
  await assert.rejects(
    fetchSources(prefix, [], [file("X", server.url("bad.tar"), { type: "tar" })], options(temp)),
    /Cannot unpack .*bad\.tar: .*"\.\."/,
  );
});
