import assert from "node:assert/strict";
import {
  managersAmong,
  parseCatalogs,
  parseManagers,
  projectPattern,
  showAddress,
} from "../../core/worker/managers.ts";
import { wrapCommand } from "../../core/worker/wrapper.ts";

Deno.test("parseManagers() reads host:port;host:port, IPv6 in brackets", () => {
  assert.deepEqual(parseManagers("node1:9123"), [{ host: "node1", port: 9123 }]);
  assert.deepEqual(parseManagers(" 10.0.0.1:1; [::1]:65535 ;").map(showAddress), [
    "10.0.0.1:1",
    "[::1]:65535",
  ]);
  const wrong: [string, string][] = [
    ["", "the list of managers is empty"],
    [";", "the list of managers is empty"],
    ["node1", '"node1" is no manager: write HOST:PORT, and ";" between several'],
    ["node1:1;no de:2", '"no de:2" is no manager: write HOST:PORT, and ";" between several'],
    ["node1:abc", '"abc" is not a port: write 9123, 9000:9100 or 0'],
    ["node1:0", '"0" is not a port to connect to: it is 1 to 65535'],
    ["::1", '"::1" is no manager: write HOST:PORT, and ";" between several'],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => parseManagers(text), { name: "UsageError", message }, text);
  }
});

Deno.test("parseCatalogs() fills in the port, also of bare IPv6 addresses", () => {
  assert.deepEqual(parseCatalogs("a,b:1,[::1]:2,fe80::1", 9097).map(showAddress), [
    "a:9097",
    "b:1",
    "[::1]:2",
    "[fe80::1]:9097",
  ]);
  assert.throws(() => parseCatalogs(","), { message: "the list of catalogs is empty" });
  assert.throws(() => parseCatalogs("a b"), {
    name: "UsageError",
    message: '"a b" is no catalog: write HOST or HOST:PORT',
  });
});

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
  return managersAmong([{ ...record, ...changed }], projectPattern("ana"), mode)[0];
}

Deno.test("managersAmong() keeps managers whose project matches, with their addresses in order", () => {
  assert.deepEqual(among({}), {
    label: '"ana" at node1.site.edu:9123',
    addresses: [{ host: "192.168.0.5", port: 9123 }, { host: "10.1.2.3", port: 9123 }],
    tls: false,
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
  assert.deepEqual(managersAmong([null, 5, "x", []], projectPattern(".*"), undefined), []);
});

Deno.test("wrapCommand() puts the command where the wrapper wants it", () => {
  const command = 'echo "$HOME" `x` \\n $&';
  const quoted = '"echo \\"\\$HOME\\" \\`x\\` \\\\n \\$&"';
  assert.equal(wrapCommand("time {} ; {}", command), `time ${command} ; ${command}`);
  assert.equal(wrapCommand("run -- [] >log", command), `run -- ${quoted} >log`);
  assert.equal(wrapCommand("nice -n 5", command), `nice -n 5 /bin/sh -c ${quoted}`);
});
