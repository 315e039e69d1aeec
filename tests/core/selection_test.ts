import assert from "node:assert/strict";
import {
  allOf,
  anyOf,
  fieldIs,
  managersAmong,
  managersOnly,
  parseConnectionMode,
  projectPattern,
} from "../../core/catalog/selection.ts";
import { matches } from "../../core/jx/eval.ts";
import { fromJson } from "../../core/jx/json.ts";
import { parseJx } from "../../core/jx/parse.ts";
import { printExpr } from "../../core/jx/print.ts";
import { isJxObject, type JxObject } from "../../core/jx/value.ts";

function recordOf(fields: object): JxObject {
  const record = fromJson(fields);
  if (!isJxObject(record)) throw new Error("no object");
  return record;
}

Deno.test("projectPattern() matches whole names, with POSIX's classes", () => {
  const cases: [pattern: string, matched: string[], not: string[]][] = [
    ["ana", ["ana"], ["banana", "ana2", ""]],
    ["ana.*", ["ana", "ana-7"], ["my-ana"]],
    ["^ana$", ["ana"], ["ana2"]],
    ["a|b", ["a", "b"], ["ab", "ac"]],
    ["run[[:digit:]]+", ["run12"], ["run", "runx"]],
    ["[^[:space:]_]{2}", ["ab"], ["a b", "a_"]],
  ];
  for (const [pattern, matched, not] of cases) {
    for (const name of matched) assert.ok(projectPattern(pattern).test(name), `${pattern} ${name}`);
    for (const name of not) assert.ok(!projectPattern(pattern).test(name), `${pattern} ${name}`);
  }
  for (const pattern of ["(", "a)(b", "[", "*"]) {
    assert.throws(() => projectPattern(pattern), {
      name: "UsageError",
      message: /^".*" is not a regular expression: \S/,
    }, pattern);
  }
});

const record = {
  type: "wq_master",
  project: "ana",
  name: "node1.site.edu",
  address: "10.1.2.3",
  port: 9123,
  ssl: false,
  protocol: 9,
  network_interfaces: [
    { family: "AF_INET", address: "192.168.0.5", interface: "eth0" },
    { family: "AF_INET", host: "10.1.2.3", interface: "eth1" },
  ],
};

function among(changed: object, mode?: "by_ip" | "by_hostname" | "by_apparent_ip") {
  return managersAmong([recordOf({ ...record, ...changed })], projectPattern("ana"), mode)[0];
}

Deno.test("managersAmong() keeps managers whose project matches, with their addresses in order", () => {
  assert.deepEqual(among({}), {
    label: '"ana" at node1.site.edu:9123',
    addresses: [{ host: "192.168.0.5", port: 9123 }, { host: "10.1.2.3", port: 9123 }],
    tls: false,
    project: "ana",
    protocol: 9,
  });
  const hosts = (changed: object, mode?: Parameters<typeof among>[1]) =>
    among(changed, mode)?.addresses.map(({ host }) => host);
  const [name, address] = [["node1.site.edu"], ["10.1.2.3"]];
  assert.deepEqual(hosts({ manager_preferred_connection: "by_hostname" }), name);
  assert.deepEqual(hosts({ manager_preferred_connection: "by_apparent_ip" }), address);
  assert.deepEqual(
    hosts({ manager_preferred_connection: "by_hostname" }, "by_apparent_ip"),
    address,
  );
  assert.deepEqual(hosts({ network_interfaces: undefined }), address);
  assert.equal(among({ type: "wq_manager", ssl: true })?.tls, true);
});

Deno.test("a manager that tells the pin of its key is spoken to by TLS, and only with that key", () => {
  const pin = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
  const { tls, pin: found } = among({ wqx_pin: pin })!;
  assert.deepEqual([tls, found], [true, pin]);
  for (const none of [undefined, 7, "", `${pin}x`, pin.slice(1), "a b"]) {
    const manager = among({ wqx_pin: none })!;
    assert.deepEqual([manager.tls, manager.pin], [false, undefined], `${none}`);
  }
});

Deno.test("managersAmong() leaves out what is no manager of that name, or nowhere", () => {
  const useless: object[] = [
    { type: "wq_factory" },
    { project: "banana" },
    { project: undefined },
    { project: 7 },
    { port: "9123" },
    { port: 0 },
    { port: 70_000 },
    { address: undefined, network_interfaces: [] },
    { address: 5, network_interfaces: "eth0" },
  ];
  for (const changed of useless) {
    assert.equal(among(changed), undefined, JSON.stringify(changed));
  }
  assert.equal(among({ port: 9123.5 }), undefined);
});

Deno.test("filters survive printing and parsing, whatever is in their texts", () => {
  const name = 'a "quoted" \\\\ (name) or true';
  const filter = anyOf(
    allOf(managersOnly, fieldIs("project", name)),
    allOf(fieldIs("type", "wq_factory"), fieldIs("factory_name", "f")),
  );
  const cases: [fields: object, passes: boolean][] = [
    [{ type: "wq_master", project: name }, true],
    [{ type: "wq_manager", project: name }, true],
    [{ type: "wq_master", project: "b" }, false],
    [{ type: "wq_factory", factory_name: "f" }, true],
    [{ type: "wq_factory", factory_name: "g" }, false],
  ];
  for (const [fields, passes] of cases) {
    for (const one of [filter, parseJx(printExpr(filter))]) {
      assert.equal(matches(one, recordOf(fields)), passes, JSON.stringify(fields));
    }
  }
});

Deno.test("parseConnectionMode() knows three words and suggests the nearest", () => {
  assert.equal(parseConnectionMode("by_hostname"), "by_hostname");
  assert.throws(() => parseConnectionMode("by_hostnam"), {
    name: "UsageError",
    message: '"by_hostnam" is no way to connect: did you mean "by_hostname"?',
  });
});
