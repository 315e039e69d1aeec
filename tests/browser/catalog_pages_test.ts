/** The catalog's pages in Debian's Chromium, as their readers use them. */
import assert from "node:assert/strict";
import axe from "axe-core/axe.min.js" with { type: "text" };
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { needs } from "../support/skip.ts";
import { until } from "../support/until.ts";
import { Catalog, dimuon, type Fields, manager, populate } from "./fixture.ts";

const program = "/usr/bin/chromium";
const installed = await Deno.stat(program).then(({ isFile }) => isFile, () => false);
const dimuonPath = `/manager/${encodeURIComponent("10.1.0.1:9123:submit1.example.org")}`;

/** One browser for all tests of this file: to start it takes most of a second. */
let browser: Promise<Browser> | null = null;

Deno.test.afterAll(async () => {
  await (await browser)?.close();
});

interface Visitor {
  readonly page: Page;
  readonly catalog: Catalog;
  open(path: string): Promise<void>;
}

/** A test with a catalog and a page; at its end nothing may have gone wrong, nor elsewhere. */
function visit(
  name: string,
  look: (visitor: Visitor) => Promise<void>,
  options: BrowserContextOptions = {},
): void {
  Deno.test({
    ...needs(installed, `no ${program}`, name),
    // The browser of all tests is started by one of them.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      await using catalog = await Catalog.start();
      populate(catalog);
      browser ??= chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
      const context = await (await browser).newContext({
        viewport: { width: 1280, height: 900 },
        reducedMotion: "reduce",
        ...options,
      });
      try {
        const page = await context.newPage();
        page.setDefaultTimeout(10_000);
        const wrong: string[] = [];
        page.on("console", (message) => {
          if (["error", "warning"].includes(message.type())) wrong.push(message.text());
        });
        page.on("pageerror", (error) => wrong.push(String(error)));
        page.on("request", (request) => {
          if (!request.url().startsWith(`${catalog.url}/`)) wrong.push(request.url());
        });
        const open = async (path: string) => {
          await page.goto(catalog.url + path);
          if (options.javaScriptEnabled !== false && path !== "/api") {
            await page.locator("#live", { hasText: /^live$/ }).waitFor();
          }
        };
        await look({ page, catalog, open });
        assert.deepEqual(wrong, []);
      } finally {
        await context.close();
      }
    },
  });
}

function projects(page: Page): Promise<string[]> {
  return page.locator("#managers-rows th a").allTextContents();
}

/** Waits until the managers are these, in this order. */
async function untilProjects(page: Page, wanted: readonly string[]): Promise<void> {
  await until(async () => JSON.stringify(await projects(page)) === JSON.stringify(wanted), {
    what: `the managers ${wanted.join(", ")}`,
  });
}

const inOrder = ["dimuon-2018", "higgs-to-4l", "higgs-foreman", "nightly-trees"];

visit("a record that comes, changes or goes is seen without a reload", async (visitor) => {
  const { page, catalog, open } = visitor;
  await open("/");
  assert.deepEqual(await projects(page), inOrder);
  await page.evaluate(() => document.body.dataset["mark"] = "not reloaded");
  const tau = (more: Fields) => catalog.put(manager("tau", 9555, more), "node5", "10.1.0.5");
  tau({ tasks_waiting: 17, lifetime: 1 });
  await untilProjects(page, [...inOrder, "tau"]);
  tau({ tasks_waiting: 18, lifetime: 1 });
  await page.locator("#managers-rows tr", { hasText: "tau" }).locator("td", { hasText: /^18$/ })
    .waitFor();
  catalog.pass(5_000);
  await untilProjects(page, inOrder);
  assert.equal(await page.evaluate(() => document.body.dataset["mark"]), "not reloaded");
});

visit("columns are sorted by mouse and keyboard, and say so", async ({ page, catalog, open }) => {
  await open("/");
  const title = page.locator("#managers-head th", { hasText: "Waiting" });
  assert.equal(await title.getAttribute("aria-sort"), "none");
  await title.locator("a").click();
  const byWaiting = ["higgs-to-4l", "higgs-foreman", "dimuon-2018", "nightly-trees"];
  await untilProjects(page, byWaiting);
  assert.equal(await title.getAttribute("aria-sort"), "descending");
  assert.match(page.url(), /\?managers=-waiting$/);
  assert.ok(await title.locator("a").evaluate((link) => link === document.activeElement));
  await page.keyboard.press("Enter");
  await untilProjects(page, ["nightly-trees", "dimuon-2018", "higgs-to-4l", "higgs-foreman"]);
  assert.equal(await title.getAttribute("aria-sort"), "ascending");
  // The order holds for what comes later, and after a reload.
  catalog.put(manager("first", 9001, { tasks_waiting: 1 }), "node6", "10.1.0.6");
  const later = ["first", "nightly-trees", "dimuon-2018", "higgs-to-4l", "higgs-foreman"];
  await untilProjects(page, later);
  await page.reload();
  assert.deepEqual(await projects(page), later);
});

visit("a row that moves keeps the reader's focus", async ({ page, catalog, open }) => {
  await open("/?managers=-waiting");
  const link = page.locator("#managers-rows a", { hasText: "nightly-trees" });
  await link.focus();
  const more = { tasks_waiting: 99_000 };
  catalog.put(manager("nightly-trees", 9130, more), "old.example.org", "10.1.0.9");
  await until(async () => (await projects(page))[0] === "nightly-trees", {
    what: "the row on top",
  });
  assert.ok(await link.evaluate((one) => one === document.activeElement));
});

visit("the filter works while typing and stays in the address", async ({ page, open }) => {
  await open("/");
  await page.getByLabel("Filter by").pressSequentially("emmy rack");
  await untilProjects(page, ["higgs-foreman"]);
  await page.locator("#found", { hasText: /1 of 7 match/ }).waitFor();
  assert.match(page.url(), /\?filter=emmy\+rack$/);
  await page.reload();
  assert.deepEqual(await projects(page), ["higgs-foreman"]);
  assert.equal(await page.getByLabel("Filter by").inputValue(), "emmy rack");
  await page.getByLabel("Filter by").fill("");
  await untilProjects(page, inOrder);
  assert.equal(new URL(page.url()).search, "");
});

visit("who is silent is marked, and loses the mark when heard", async ({ page, catalog, open }) => {
  await open("/");
  const stale = page.locator("#managers-rows tr.stale");
  assert.deepEqual(await stale.locator("th a").allTextContents(), ["nightly-trees"]);
  assert.match(await stale.locator("td time").innerText(), /^10 min ago/);
  catalog.put(manager("nightly-trees", 9130), "old.example.org", "10.1.0.9");
  await until(async () => await stale.count() === 0, { what: "the end of the mark" });
});

visit("ages go on without a word from the server, up to the mark", async (visitor) => {
  const { page, catalog, open } = visitor;
  await page.clock.install({ time: catalog.nowMs });
  await open("/");
  assert.equal(await page.locator("#managers-rows tr.stale").count(), 1);
  await page.clock.fastForward(240_000);
  await until(async () => await page.locator("#managers-rows tr.stale").count() === 4, {
    what: "the mark on all",
  });
  assert.match(await page.locator("#managers-rows td time").first().innerText(), /^4 min ago/);
});

visit("the picture of a manager grows with each report", async ({ page, catalog, open }) => {
  await open(dimuonPath);
  const picture = page.getByRole("img", { name: "All tasks" });
  const points = async () =>
    (await picture.locator(".line.done").getAttribute("d"))?.split("L").length ?? 0;
  const before = await points();
  assert.ok(before > 30);
  await page.locator("summary", { hasText: "as a table" }).click();
  for (let i = 1; i <= 3; i++) {
    catalog.pass(60_000);
    catalog.put(dimuon(0.8 + i / 20), "submit1.example.org", "10.1.0.1");
  }
  await until(async () => await points() === before + 3, { what: "three more points" });
  assert.match(await picture.getAttribute("aria-label") ?? "", /now 230 waiting/);
  await page.locator("#tiles", { hasText: "4.37k" }).waitFor();
  // What the reader opened stays open.
  assert.ok(await page.locator("#course-table").evaluate((one) => one.hasAttribute("open")));
});

visit("a manager that the catalog forgets stays to be read", async ({ page, catalog, open }) => {
  catalog.put(manager("brief", 9777, { lifetime: 1 }), "node7", "10.1.0.7");
  await open(`/manager/${encodeURIComponent("10.1.0.7:9777:node7")}`);
  catalog.pass(5_000);
  await page.locator("#gone", { hasText: "forgotten" }).waitFor();
  assert.equal(await page.locator("h1").innerText(), "brief");
});

const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

visit("markup in a record shows as text, also in what comes later", async (visitor) => {
  const { page, catalog, open } = visitor;
  await open("/");
  const fields = { owner: evil, version: evil, categories: [{ category: evil }] };
  catalog.put(manager(evil, 9666, fields), evil, "10.1.0.6");
  await page.locator("#managers-rows a", { hasText: "<img src=x onerror=" }).click();
  await page.locator("h1", { hasText: "<script>" }).waitFor();
  await page.locator("#live", { hasText: /^live$/ }).waitFor();
  catalog.put(manager(evil, 9666, { ...fields, tasks_waiting: 5 }), evil, "10.1.0.6");
  await page.locator(".tile", { hasText: "waiting" }).locator("dd", { hasText: "5" }).waitFor();
  assert.equal(await page.locator("main img, main script").count(), 0);
  assert.doesNotMatch(await page.title(), /^owned/);
});

visit("the keyboard reaches the content first, and every control is seen", async (visitor) => {
  const { page, open } = visitor;
  await open("/");
  await page.keyboard.press("Tab");
  assert.equal(
    await page.evaluate(() => document.activeElement?.textContent),
    "Skip to the content",
  );
  assert.ok(await page.locator(".skip").evaluate((one) => one.getBoundingClientRect().left >= 0));
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "filter");
  const outlined = () =>
    page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle === "solid");
  for (let i = 0; i < 8; i++) {
    assert.ok(await outlined(), await page.evaluate(() => document.activeElement!.outerHTML));
    await page.keyboard.press("Tab");
  }
});

visit("a lost connection is told", async ({ page, catalog, open }) => {
  await open("/");
  await catalog.server[Symbol.asyncDispose]();
  await page.locator("#live", { hasText: "connection lost" }).waitFor();
});

visit("without script the overview is sorted and filtered by links and a form", async (visitor) => {
  const { page, open } = visitor;
  await open("/");
  await page.locator("#managers-head a", { hasText: "Waiting" }).click();
  assert.equal((await projects(page))[0], "higgs-to-4l");
  await page.getByLabel("Filter by").fill("dimuon");
  await page.getByRole("button", { name: "Filter" }).click();
  assert.deepEqual(await projects(page), ["dimuon-2018"]);
  assert.match(page.url(), /managers=-waiting/);
}, { javaScriptEnabled: false });

const pages = ["/", dimuonPath, dimuonPath.replace("manager", "detail"), "/api"];

for (const colorScheme of ["light", "dark"] as const) {
  visit(`axe finds nothing to mend on any page when it is ${colorScheme}`, async (visitor) => {
    const { page, catalog } = visitor;
    for (const path of pages) {
      await page.goto(catalog.url + path);
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const { violations } = await Reflect.get(globalThis, "axe").run();
        return (violations as { id: string; nodes: { html: string; failureSummary: string }[] }[])
          .flatMap(({ id, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)
          );
      });
      assert.deepEqual(found, [], path);
    }
  }, { colorScheme });
}

visit("on a phone no page is wider than the screen", async ({ page, catalog }) => {
  catalog.put(
    manager("x".repeat(150), 9888, { owner: "y".repeat(90) }),
    "z".repeat(120),
    "10.1.0.8",
  );
  const long = `/manager/${encodeURIComponent(`10.1.0.8:9888:${"z".repeat(120)}`)}`;
  for (const path of [...pages, long]) {
    await page.goto(catalog.url + path);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, path);
  }
}, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
