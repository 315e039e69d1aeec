import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import { platforms } from "../../core/package/platform.ts";
import { unknownHost, virtualPackages } from "../../core/package/virtual.ts";

function texts(...args: Parameters<typeof virtualPackages>): string[] {
  return virtualPackages(...args).map(({ name, version, build }) => `${name}=${version}=${build}`);
}

Deno.test("virtual packages say what is known of the machines", () => {
  const facts = {
    glibc: "2.36",
    kernel: "6.1.0-18-amd64",
    archspec: "x86_64_v3",
    cuda: "12.4",
    osx: null,
  };
  assert.deepEqual(texts("linux-64", facts), [
    "__unix=0=0",
    "__linux=6.1.0=0",
    "__glibc=2.36=0",
    "__cuda=12.4=0",
    "__archspec=1=x86_64_v3",
  ]);
  assert.deepEqual(texts("osx-arm64", { ...facts, archspec: null, osx: "14.2" }), [
    "__unix=0=0",
    "__osx=14.2=0",
    "__archspec=1=m1",
  ]);
});

Deno.test("where nothing is known they are what most sites have at least", () => {
  assert.deepEqual(texts("linux-aarch64", unknownHost), [
    "__unix=0=0",
    "__linux=4.18=0",
    "__glibc=2.28=0",
    "__archspec=1=aarch64",
  ]);
  for (const platform of platforms) {
    assert.ok(virtualPackages(platform, unknownHost).length >= 3);
  }
});

Deno.test("overrides beat what is known, and empty ones take it away", () => {
  const overrides = new Map([["glibc", "2.17"], ["archspec", ""], ["cuda", "11.8"], ["x", "1"]]);
  assert.deepEqual(texts("linux-64", unknownHost, overrides), [
    "__unix=0=0",
    "__linux=4.18=0",
    "__glibc=2.17=0",
    "__cuda=11.8=0",
  ]);
});

Deno.test("what is no version is refused", () => {
  const bad = (name: string, value: string) =>
    assert.throws(() => virtualPackages("linux-64", unknownHost, new Map([[name, value]])), {
      name: "UsageError",
      message: new RegExp(`^"${value}" is no .* for __${name}: one is written like `),
    });
  bad("glibc", "new");
  bad("linux", "6.1-amd64");
  bad("archspec", "x86-64");
  assert.ok(UsageError);
});
