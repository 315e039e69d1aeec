import assert from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Hono } from "hono";
import { apiRoutes } from "../../catalog/api.ts";
import { answers, changeEvent, openApiDocument } from "../../catalog/api_schema.ts";
import { scaleOf } from "../../catalog/web/chart.ts";
import { webRoutes } from "../../catalog/web/mod.ts";
import { rowsFirst } from "../../catalog/web/overview.ts";
import { factsOf, MemoryCatalog } from "../support/memory_catalog.ts";
import { until } from "../support/until.ts";

const nowMs = 1_795_000_000_000;
const heard = { lastheardfrom: nowMs / 1000 - 30 };

class Site implements Disposable {
  readonly catalog = new MemoryCatalog();
  readonly closing = new AbortController();
  readonly app = new Hono();

  constructor() {
    const facts = factsOf(this.closing.signal, () => nowMs);
    this.app.route("/", apiRoutes(this.catalog, facts));
    this.app.route("/", webRoutes(this.catalog, facts));
  }

  async text(path: string, headers: Record<string, string> = {}): Promise<string> {
    const response = await this.app.request(path, { headers });
    assert.equal(response.status, 200, path);
    return await response.text();
  }

  async json(path: string, status = 200): Promise<unknown> {
    const response = await this.app.request(path);
    assert.equal(response.status, status, path);
    assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    return await response.json();
  }

  [Symbol.dispose](): void {
    this.closing.abort();
  }
}

function manager(project: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    type: "wq_master",
    project,
    name: "submit.example.org",
    address: "10.0.0.1",
    port: 9123,
    owner: "ada",
    tasks_waiting: 7,
    ...heard,
    ...more,
  };
}

/** Text between tags, blanks squeezed. */
function words(markup: string): string {
  return markup.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
}

/** Projects in the order of the table. */
function projects(page: string): string[] {
  return [...page.matchAll(/<th scope="row"[^>]*>[^]*?<bdi>(.*?)<\/bdi>/g)].map(([, name = ""]) =>
    name
  );
}

Deno.test("the overview shows managers, factories and the rest without any script", async () => {
  using site = new Site();
  site.catalog.put("m", manager("dimuon"));
  site.catalog.put("f", {
    type: "wq_factory",
    factory_name: "night",
    workers_needed: 20,
    ...heard,
  });
  site.catalog.put("c", { type: "chirp", name: "store1", port: 9094, ...heard });
  const page = await site.text("/");
  assert.deepEqual(projects(page), ["dimuon", "night", "chirp"]);
  assert.match(words(page), /dimuon .* ada submit\. example\. org :9123 7/);
  assert.match(words(page), /30 s ago/);
  assert.equal(await site.text("/query.html"), page);
});

Deno.test("an empty catalog says so", async () => {
  using site = new Site();
  const page = words(await site.text("/"));
  assert.match(page, /No manager tells this catalog about itself\./);
  assert.match(page, /No factory tells this catalog about itself\./);
});

Deno.test("the address says how tables are sorted and what is left of them", async () => {
  using site = new Site();
  site.catalog.put("b", manager("beta", { tasks_waiting: 100 }));
  site.catalog.put("a", manager("alpha", { tasks_waiting: 9, owner: "emmy" }));
  site.catalog.put("g", manager("gamma", { tasks_waiting: "many" }));
  assert.deepEqual(projects(await site.text("/")), ["alpha", "beta", "gamma"]);
  assert.deepEqual(projects(await site.text("/?managers=waiting")), ["alpha", "beta", "gamma"]);
  assert.deepEqual(projects(await site.text("/?managers=-waiting")), ["beta", "alpha", "gamma"]);
  assert.deepEqual(projects(await site.text("/?managers=-project")), ["gamma", "beta", "alpha"]);
  assert.deepEqual(projects(await site.text("/?managers=nonsense")), ["alpha", "beta", "gamma"]);
  const filtered = await site.text("/?filter=emmy&managers=-waiting");
  assert.deepEqual(projects(filtered), ["alpha"]);
  assert.match(
    filtered,
    /aria-sort="descending"><a\s+id="managers-by-waiting"\s+href="\/\?filter=emmy&amp;managers=waiting"/,
  );
  assert.match(words(filtered), /1 of 3 match “ emmy ”/);
});

Deno.test("a table of many rows is cut, and says so", async () => {
  using site = new Site();
  for (let i = 0; i < rowsFirst + 50; i++) site.catalog.put(`m${i}`, manager(`p${i}`));
  const page = await site.text("/");
  assert.equal(projects(page).length, rowsFirst);
  assert.match(words(page), /The first 200 of 250: filter to see others, or show up to 2.000/);
  assert.equal(projects(await site.text("/?rows=2000")).length, rowsFirst + 50);
});

Deno.test("markup in a record is text on every page", async () => {
  using site = new Site();
  const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`;
  const fields = Object.fromEntries(
    [
      "project",
      "owner",
      "name",
      "version",
      "working_dir",
      "my_manager",
      "address",
      "factory_name",
      "project_regex",
      evil,
    ].map((key) => [key, evil]),
  );
  const entries = {
    categories: [{ category: evil, max_memory: evil }],
    wqx_workers: [{ host: evil, address: evil }],
    workers_blocked: [evil],
  };
  const key = `10.0.0.1:1:${evil}`;
  site.catalog.put(key, { ...fields, ...entries, type: "wq_master", port: 1 });
  site.catalog.put("f", {
    ...fields,
    type: "wq_factory",
    managers: [{ project: evil, name: evil, port: 1 }],
  });
  site.catalog.put("s", { ...fields, type: evil });
  const at = encodeURIComponent(key);
  for (
    const path of [
      "/",
      `/?filter=${encodeURIComponent("<script>")}`,
      `/manager/${at}`,
      `/detail/${at}`,
      "/detail/s",
    ]
  ) {
    const page = await site.text(path);
    assert.match(page, /&lt;script&gt;/);
    const tags = [...page.matchAll(/<(script|img)\b[^>]*>/g)].map(([tag]) => tag);
    assert.deepEqual(tags, [
      '<script src="/assets/idiomorph.js" defer>',
      '<script src="/assets/app.js" type="module">',
    ], path);
    assert.doesNotMatch(page.replace(/"[^"]*"/g, '""'), /<[^>]*\sonerror=/);
  }
});

Deno.test("pages may load and send only what is theirs, and are never kept", async () => {
  using site = new Site();
  for (const path of ["/", "/api", "/detail/none", "/manager/none"]) {
    const response = await site.app.request(path);
    await response.body?.cancel();
    const policy = response.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.match(policy, /style-src 'self'(;|$)/);
    assert.match(policy, /connect-src 'self'(;|$)/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(response.headers.get("strict-transport-security"), null);
  }
  const page = await site.text("/");
  assert.doesNotMatch(page, /\sstyle=|\son\w+=|<script>|<style/);
});

Deno.test("assets are asked for again, and not sent again while they are the same", async () => {
  using site = new Site();
  for (const name of ["app.js", "idiomorph.js", "style.css", "icon.svg"]) {
    const first = await site.app.request(`/assets/${name}`);
    assert.ok((await first.text()).length > 100);
    assert.equal(first.headers.get("cache-control"), "no-cache");
    const etag = first.headers.get("etag") ?? "";
    assert.match(etag, /^(W\/)?".+"$/);
    const again = await site.app.request(`/assets/${name}`, { headers: { "if-none-match": etag } });
    assert.equal(again.status, 304);
    assert.equal(await again.text(), "");
  }
  for (const name of ["none.js", "__proto__", "constructor"]) {
    assert.equal((await site.app.request(`/assets/${name}`)).status, 404);
  }
});

Deno.test("a manager's page tells how to send it a worker, in words that a shell can be given", async () => {
  using site = new Site();
  const commands = async (fields: Record<string, unknown>, host = "cat.example.org:9097") => {
    site.catalog.put("m", fields);
    const page = await site.text("/manager/m", { host });
    return [...page.matchAll(/<pre class="command"><code>([^<]*)<\/code>/g)].map(([, line = ""]) =>
      line.replaceAll("&#39;", "'").replaceAll("&quot;", '"').replaceAll("&amp;", "&")
    ).filter((line) => line.startsWith("wqx worker"));
  };
  assert.deepEqual(await commands(manager("dimuon")), [
    "wqx worker -M dimuon -C cat.example.org:9097",
    "wqx worker submit.example.org 9123",
  ]);
  assert.deepEqual(await commands(manager("two words", { ssl: true }), "localhost:9097"), [
    "wqx worker -M 'two words' -C catalog.example.org:9097",
    "wqx worker --ssl submit.example.org 9123",
  ]);
  // Neither as a regular expression nor as a command would these mean what they say.
  assert.deepEqual(await commands(manager("$(reboot)", { name: "h; reboot" })), [
    "wqx worker 'h; reboot' 9123",
  ]);
  assert.deepEqual(await commands(manager("x", { port: "9123" }), 'evil"><b>'), [
    "wqx worker -M x -C catalog.example.org:9097",
  ]);
});

Deno.test("a manager that tells totals only has its list of workers asked for", async () => {
  using site = new Site();
  site.catalog.put("m", manager("dimuon", { workers: 40 }));
  assert.match(
    words(await site.text("/manager/m")),
    /publishes totals only \(40 workers\)\. Ask it for the list: wqx status submit\.example\.org 9123 -W/,
  );
  site.catalog.put(
    "m",
    manager("dimuon", { workers: 40, wqx_workers: [{ host: "w1", cores: 8, cores_inuse: 3 }] }),
  );
  const page = words(await site.text("/manager/m"));
  assert.match(page, /w1 .* 3 \/ 8/);
  assert.match(page, /The largest 1 of 40 workers/);
});

Deno.test("what is not there, or no manager, is a page that says so", async () => {
  using site = new Site();
  site.catalog.put("c", { type: "chirp" });
  for (const path of ["/manager/none", "/manager/c", "/detail/none"]) {
    const response = await site.app.request(path);
    assert.equal(response.status, 404);
    assert.match(words(await response.text()), /Not here The catalog (knows|has) no/);
  }
});

Deno.test("the course is drawn from its second point on", async () => {
  using site = new Site();
  site.catalog.put("m", manager("dimuon"));
  site.catalog.points.set("m", [{
    atMs: nowMs - 60_000,
    waiting: 10,
    running: 2,
    done: 0,
    workers: 1,
  }]);
  assert.match(await site.text("/manager/m"), /The picture begins with/);
  site.catalog.points.get("m")!.push({ atMs: nowMs, waiting: 4, running: 4, done: 4, workers: 2 });
  const page = await site.text("/manager/m");
  assert.match(
    page,
    /aria-label="All tasks over the last 1 min; now 4 waiting, 4 running, 4 done"/,
  );
  assert.match(page, /class="line waiting"\s+d="M0\.0 20\.00L1000\.0 20\.00"/);
});

Deno.test("axes go in equal steps to no less than the largest value", () => {
  assert.deepEqual(scaleOf(0), { top: 1, ticks: [0, 1] });
  assert.deepEqual(scaleOf(3).ticks, [0, 1, 2, 3]);
  assert.deepEqual(scaleOf(44).ticks, [0, 20, 40, 60]);
  for (let most = 1; most < 1e15; most *= 1.7) {
    const { top, ticks } = scaleOf(most);
    assert.ok(top >= most && ticks.length >= 2 && ticks.length <= 6, String(most));
  }
});

Deno.test("the JSON interface answers as its schemas say", async () => {
  using site = new Site();
  site.catalog.put(
    "m",
    manager("dimuon", {
      categories: [{ category: "processing", max_memory: "~700" }],
      wqx_workers: [{ host: "w1" }],
    }),
  );
  site.catalog.put("n", manager("other", { port: 1e300, tasks_running: -1.5 }));
  site.catalog.put("f", {
    type: "wq_factory",
    factory_name: "night",
    managers: [{ project: "dimuon" }],
  });
  site.catalog.put("c", { type: "chirp" });
  site.catalog.points.set("m", [{ atMs: nowMs, waiting: 1, running: 2, done: 3, workers: 4 }]);
  const managers = answers.managers.strict().parse(await site.json("/api/v1/managers"));
  assert.deepEqual(managers.rows.map(({ key }) => key), ["m", "n"]);
  const one = answers.managers.parse(await site.json("/api/v1/managers?filter=DIMU&limit=5"));
  assert.deepEqual([one.all, one.matching, one.rows.length], [2, 1, 1]);
  const detail = answers.manager.parse(await site.json("/api/v1/managers/m"));
  assert.deepEqual(detail.series, site.catalog.series("m"));
  assert.equal(detail.categories[0]?.largest.memoryMb, "~700");
  assert.equal(
    answers.factories.parse(await site.json("/api/v1/factories")).rows[0]?.name,
    "night",
  );
  assert.equal(answers.services.parse(await site.json("/api/v1/services")).rows[0]?.type, "chirp");
  assert.equal(answers.health.parse(await site.json("/api/v1/health")).records, 4);
});

Deno.test("bad questions to the JSON interface get a sentence", async () => {
  using site = new Site();
  const error = async (path: string, status: number) =>
    answers.error.parse(await site.json(path, status)).error;
  assert.match(
    await error("/api/v1/managers?limit=-1", 400),
    /^Cannot read the parameter "limit": /,
  );
  assert.match(await error(`/api/v1/managers?filter=${"x".repeat(300)}`, 400), /"filter"/);
  assert.match(await error("/api/v1/managers/none", 404), /no such manager/);
  assert.match(await error("/api/v1/nonsense", 404), /^Nothing at \/api\/v1\/nonsense/);
});

Deno.test("pages of other hosts may ask the JSON interface", async () => {
  using site = new Site();
  const response = await site.app.request("/api/v1/health", {
    headers: { origin: "http://x.example" },
  });
  await response.body?.cancel();
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
});

Deno.test("the OpenAPI document is one by the schema of OpenAPI 3.1", async () => {
  using site = new Site();
  const described = await site.json("/api/openapi.json");
  assert.deepEqual(described, JSON.parse(JSON.stringify(openApiDocument("0.1.0"))));
  const validator = new Validator();
  const result = await validator.validate(described as Record<string, unknown>);
  assert.deepEqual([result.valid, result.errors], [true, undefined]);
  assert.equal(validator.version, "3.1");
  const broken = {
    ...described as Record<string, unknown>,
    paths: { "/x": { get: { responses: 5 } } },
  };
  assert.equal((await new Validator().validate(broken)).valid, false);
});

Deno.test("every path of the OpenAPI document answers, and the page lists it", async () => {
  using site = new Site();
  site.catalog.put("m", manager("dimuon"));
  const page = await site.text("/api");
  for (const path of Object.keys(openApiDocument("0.1.0").paths ?? {})) {
    assert.ok(page.includes(path), path);
    const response = await site.app.request(path.replace("{key}", "m"));
    assert.equal(response.status, 200, path);
    await response.body?.cancel();
  }
  await until(() => site.catalog.listening === 0, { what: "the end of the stream" });
});

/** Reads events as they come; `close` lets go. */
class Events implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(response: Response) {
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(site: Site, path: string): Promise<Events> {
    return new Events(await site.app.request(path));
  }

  /** `null` at the end of the stream. */
  async next(): Promise<{ event: string; data: unknown } | null> {
    while (true) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        if (block.startsWith(":")) continue;
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1] ?? "";
        return { event: field("event"), data: JSON.parse(field("data")) };
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#text += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

interface Changed {
  readonly parts: Record<string, string>;
  readonly tables: Record<string, { order: string[]; rows: Record<string, string> }>;
}

Deno.test("the overview's stream tells all at first, then what changed, many changes as one", async () => {
  using site = new Site();
  site.catalog.put("a", manager("alpha"));
  site.catalog.put("b", manager("beta"));
  await using events = await Events.open(site, "/live/overview?managers=-waiting");
  const first = (await events.next())?.data as Changed;
  assert.deepEqual(first.tables["managers"]?.order, ["a", "b"]);
  assert.deepEqual(Object.keys(first.tables["managers"]?.rows ?? {}), ["a", "b"]);
  assert.match(first.parts["managers-head"] ?? "", /aria-sort="descending"/);
  for (let i = 1; i <= 1000; i++) site.catalog.put("b", manager("beta", { tasks_waiting: 10 * i }));
  const second = (await events.next())?.data as Changed;
  assert.deepEqual(second.tables["managers"]?.order, ["b", "a"]);
  assert.deepEqual(Object.keys(second.tables["managers"]?.rows ?? {}), ["b"]);
  assert.match(words(second.tables["managers"]?.rows["b"] ?? ""), /10.000/);
  assert.equal(second.parts["managers-head"], undefined);
  site.catalog.put("a", null);
  const third = (await events.next())?.data as Changed;
  assert.deepEqual(third.tables["managers"], { order: ["b"], rows: {} });
});

Deno.test("a manager's stream tells what changed of it, and that it is gone", async () => {
  using site = new Site();
  site.catalog.put("m", manager("dimuon"));
  await using events = await Events.open(site, "/live/manager/m");
  const first = (await events.next())?.data as Changed;
  assert.match(first.parts["heading"] ?? "", /dimuon/);
  site.catalog.put("other", manager("other"));
  site.catalog.put("m", manager("dimuon", { tasks_waiting: 99 }));
  const second = (await events.next())?.data as Changed;
  assert.deepEqual(Object.keys(second.parts), ["tiles", "fields"]);
  site.catalog.put("m", null);
  const third = (await events.next())?.data as Changed;
  assert.match(third.parts["gone"] ?? "", /has forgotten this manager/);
});

Deno.test("the JSON interface streams changes as its schema says", async () => {
  using site = new Site();
  await using events = await Events.open(site, "/api/v1/events");
  await until(() => site.catalog.listening === 1, { what: "the stream's subscription" });
  site.catalog.put("m", manager("dimuon"));
  site.catalog.put("f", { type: "wq_factory" });
  const [m, f] = [await events.next(), await events.next()];
  assert.equal(m?.event, "change");
  assert.equal(changeEvent.parse(m?.data).row?.project, "dimuon");
  assert.equal(changeEvent.parse(f?.data).kind, "factory");
  site.catalog.put("f", null);
  assert.deepEqual(changeEvent.parse((await events.next())?.data), {
    key: "f",
    kind: null,
    row: null,
  });
});

Deno.test("streams end when their reader goes, and when the server stops", async () => {
  const site = new Site();
  const left = await Events.open(site, "/live/overview");
  await left.next();
  assert.equal(site.catalog.listening, 1);
  await left[Symbol.asyncDispose]();
  await until(() => site.catalog.listening === 0, { what: "the end of the first subscription" });
  await using stopped = await Events.open(site, "/live/overview");
  await stopped.next();
  site[Symbol.dispose]();
  assert.equal(await stopped.next(), null);
  assert.equal(site.catalog.listening, 0);
});

Deno.test("more streams than the server can bear are refused, and later ones are not", async () => {
  using site = new Site();
  const open: Events[] = [];
  let refused: Response | null = null;
  while (refused === null) {
    const response = await site.app.request("/live/overview");
    if (response.status === 503) refused = response;
    else open.push(new Events(response));
    assert.ok(open.length <= 300);
  }
  assert.match(await refused.text(), /Too many pages are open/);
  for (const events of open) await events[Symbol.asyncDispose]();
  await until(() => site.catalog.listening === 0, { what: "the end of all" });
  await using again = await Events.open(site, "/live/overview");
  assert.notEqual(await again.next(), null);
});
