/** What the Python module brings along for packed environments. */
import assert from "node:assert/strict";
import { archiveName, isEnvironmentWrapper } from "../../core/worker/environment_command.ts";
import { packEnvironment, wrapperScript } from "../support/environment.ts";
import { environmentFor } from "../support/coffea.ts";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";
import { TestBed } from "../support/wqx.ts";

const found = findPython(["sys"]);

Deno.test("the module's poncho_package_run is the one that managers send", () => {
  const path = new URL("../../python/wqx/poncho_package_run", import.meta.url).pathname;
  assert.equal(Deno.readTextFileSync(path), wrapperScript);
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o111, 0o111);
  assert.ok(isEnvironmentWrapper(wrapperScript.slice(0, 64 * 1024)));
});

Deno.test({
  ...needs(
    "path" in found,
    "missing" in found ? found.missing : "",
    "the module names archives as managers do, and knows scripts from links to wqx",
  ),
  async fn() {
    if (!("path" in found)) return;
    await using bed = await TestBed.create();
    await packEnvironment(bed.folder, "my env.tar.gz");
    await Deno.copyFile(bed.folder.join("my env.tar.gz"), bed.folder.join("other"));
    await bed.folder.write("link", '#!/bin/sh\nexec wqx "$@"\n');
    const script = `
import sys
from wqx.environment import archive_name, is_wrapper_script, wrapper_script
print(archive_name("my env.tar.gz"), archive_name("other"))
print(is_wrapper_script(wrapper_script()), is_wrapper_script("link"), is_wrapper_script("none"))
for path in (".", "none"):
    try:
        archive_name(path)
    except (OSError, ValueError) as error:
        print(type(error).__name__, error)
`;
    const env = await environmentFor(found.path, bed);
    const run = await bed.run(["-c", script], { command: [found.path], env });
    assert.equal(run.code, 0, run.stderr);
    const [names, known, folder, none] = run.stdout.split("\n");
    const bytes = await Deno.readFile(bed.folder.join("other"));
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    assert.equal(names, `${archiveName("my env.tar.gz", hex)} ${archiveName("other", hex)}`);
    assert.equal(known, "True False False");
    assert.match(folder ?? "", /^ValueError The environment \. is a folder; make an archive of it/);
    assert.match(none ?? "", /^FileNotFoundError .*none/);
  },
});
