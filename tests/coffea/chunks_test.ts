import assert from "node:assert/strict";
import { findPython } from "../support/python.ts";
import { needs } from "../support/skip.ts";

const python = findPython(["dataclasses"]);
const missing = "missing" in python ? python.missing : "";

Deno.test({
  ...needs(missing === "", missing, "chunks cover all events once, and merge in one order"),
  fn: () => {
    const { path } = python as { path: string };
    const here = (name: string) => new URL(name, import.meta.url).pathname;
    const { stdout, stderr } = new Deno.Command(path, {
      args: [here("chunks_check.py")],
      env: { PYTHONPATH: here("../../python"), PYTHONDONTWRITEBYTECODE: "1" },
    }).outputSync();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(text(stdout), "sound\n", text(stderr));
  },
});
