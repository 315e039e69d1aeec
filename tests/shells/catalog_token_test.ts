/** Who may see the pages of a catalog that has a token, and that all else is as without. */
import assert from "node:assert/strict";
import { catalogApp } from "../../catalog/app.ts";
import { withoutToken } from "../../catalog/token.ts";
import { readToken } from "../../io/handshake.ts";
import { sendDatagram, TestCatalog } from "../support/catalog.ts";
import { factsOf } from "../support/memory_catalog.ts";
import { TempFolder } from "../support/temp.ts";
import { TestBed } from "../support/wqx.ts";

const token = "s3cret-0123456789abcdef";

async function site(folder: TempFolder) {
  const catalog = await TestCatalog.start(folder);
  const closing = new AbortController();
  const questions = { timeoutMs: 5000, streamTimeoutMs: 5000, historyJobsMax: 1 };
  const app = catalogApp(
    { store: catalog.store, ...questions, token },
    factsOf(closing.signal, Date.now),
  );
  const status = async (path: string, headers: Record<string, string> = {}) => {
    const response = await app.request(path, { headers });
    await response.body?.cancel();
    return response.status;
  };
  return { catalog, app, status, closing };
}

Deno.test("pages and interface want the token, questions of Work Queue's programs do not", async () => {
  await using folder = await TempFolder.create();
  const { catalog, app, status } = await site(folder);
  await using _catalog = catalog;
  await sendDatagram(catalog.port, '{"type":"wq_master","port":1,"project":"p"}');
  await catalog.knows(1);
  const guarded = [
    "/",
    "/query.html",
    "/api",
    "/api/v1/managers",
    "/api/v1/events",
    "/api/v1/health",
  ];
  for (const path of [...guarded, "/manager/x", "/detail/x", "/live/overview", "/nothing"]) {
    assert.equal(await status(path), 401, path);
    assert.equal(await status(path, { Cookie: "wqx_catalog=x" }), 401, path);
    assert.equal(await status(path, { Cookie: `wqx_catalog=${token}` }), 401, path);
    assert.equal(await status(path, { Authorization: `Bearer ${token}x` }), 401, path);
    assert.equal(await status(`${path}?token=${token.slice(1)}`), 401, path);
  }
  for (const path of guarded.filter((path) => path !== "/api/v1/events")) {
    assert.equal(await status(path, { Authorization: `Bearer ${token}` }), 200, path);
  }
  for (const path of ["/query.json", "/query.text", "/query/dHJ1ZQ==", "/assets/style.css"]) {
    assert.equal(await status(path), 200, path);
  }
  const refused = await app.request("/api/v1/managers");
  assert.match(
    JSON.stringify(await refused.json()),
    /"error":"This catalog wants a token: add \?tok/,
  );
  assert.match(refused.headers.get("www-authenticate")!, /^Bearer /);
});

Deno.test("a token in the address is taken out of it, and a cookie does from then on", async () => {
  await using folder = await TempFolder.create();
  const { catalog, app, status } = await site(folder);
  await using _catalog = catalog;
  const first = await app.request(`/?q=a&token=${token}`);
  assert.deepEqual([first.status, first.headers.get("location")], [302, "/?q=a"]);
  const set = first.headers.get("set-cookie")!;
  assert.match(set, /HttpOnly/);
  assert.match(set, /SameSite=Lax/);
  assert.ok(!set.includes(token), "the cookie does not tell the token");
  const [cookie] = set.split(";");
  assert.equal(await status("/?q=a", { Cookie: cookie! }), 200);
  assert.equal(await status("/api/v1/managers", { Cookie: `other=1; ${cookie}` }), 200);
  assert.equal(withoutToken(`/?a=b&token=${token}&c=d`), "/?a=b&token=…&c=d");
});

Deno.test("a token is one word of a good length", async () => {
  await using folder = await TempFolder.create();
  const path = await folder.write("token", `${token}\n`);
  await Deno.chmod(path, 0o644);
  const warnings: string[] = [];
  assert.equal(await readToken(path, (line) => warnings.push(line)), token);
  assert.deepEqual(warnings, [
    `Everybody on this machine may read the token in ${path}: chmod 600 it`,
  ]);
  for (const text of ["", "short", "two words of which it is", "x".repeat(201)]) {
    await Deno.writeTextFile(path, text);
    await assert.rejects(readToken(path, () => {}), (error: Error) => {
      assert.equal(error.name, "UsageError");
      assert.match(
        error.message,
        /^Cannot read the token from .*: it is one word of 16 to 200 let/,
      );
      return true;
    });
  }
  await assert.rejects(
    readToken(folder.join("no"), () => {}),
    /^UsageError: Cannot read the token/,
  );
});

Deno.test("a catalog says once that everybody sees its pages, unless few can or a token is asked for", async () => {
  await using bed = await TestBed.create();
  const path = await bed.folder.write("token", token);
  await Deno.chmod(path, 0o600);
  const cases: readonly (readonly [string[], boolean])[] = [
    [[], true],
    [["-I", "127.0.0.1"], false],
    [["--token", path, "-d", "all", "-o", "log"], false],
  ];
  for (const [i, [words, said]] of cases.entries()) {
    await using catalog = bed.start(["catalog", "-Z", `port${i}`, "-H", "history", ...words]);
    await catalog.says(/Ctrl-C stops it/);
    const port = (await Deno.readTextFile(bed.folder.join(`port${i}`))).trim();
    const answer = await fetch(`http://127.0.0.1:${port}/?token=${token}`);
    // `fetch` keeps no cookies.
    assert.equal(answer.status, words.includes("--token") ? 401 : 200);
    await answer.body?.cancel();
    catalog.signal("SIGTERM");
    assert.equal(await catalog.ended, 0);
    assert.equal(/Everybody who can reach it sees its pages/.test(catalog.stderr), said);
  }
  assert.doesNotMatch(await Deno.readTextFile(bed.folder.join("log")), /s3cret/);
});
