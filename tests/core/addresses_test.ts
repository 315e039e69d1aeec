import assert from "node:assert/strict";
import { parseCatalogs, parseManagers, showAddress } from "../../core/addresses.ts";

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
