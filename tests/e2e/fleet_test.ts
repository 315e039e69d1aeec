import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { runFleet } from "../support/fleet.ts";
import { needs } from "../support/skip.ts";

const program = "/usr/bin/chromium";
const installed = await Deno.stat(program).then(({ isFile }) => isFile, () => false);

/** As a user wrote it: quotes, colons and a comma are missing, and hyphens are underscores. */
const config =
  `{ "manager_name": "hal", "max_workers=250, "min_workers=0, "cores": 4 "memory": cores * 1024, "disk": cores * 2048 }`;

Deno.test({
  ...needs(
    installed,
    `no ${program}`,
    "a catalog, a named manager with a password, a factory, the status and the pages work together",
  ),
  fn: () => runFleet({ batchType: "local", config, cores: 4, visit }),
});

async function visit(url: string): Promise<void> {
  const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(20_000);
    await page.goto(url);
    await page.locator("#live", { hasText: /^live$/ }).waitFor();
    await page.getByRole("link", { name: "hal", exact: true }).first().click();
    await page.waitForURL(/\/manager\//);
    const text = await page.locator("main").innerText();
    assert.match(text, /processing/, "its categories are shown");
    assert.match(text, /wqx worker .*-M hal/, "and how to start a worker");
  } finally {
    await browser.close();
  }
}
