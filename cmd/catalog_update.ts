/** `wqx catalog-update`, also known as `catalog_update` */
import { arch, cpus, freemem, loadavg, release, totalmem, type, userInfo } from "node:os";
import { messageOf, RunError, UsageError } from "../core/errors.ts";
import { fromJson } from "../core/jx/json.ts";
import { parseJxValue } from "../core/jx/parse.ts";
import { isJxObject, type JxObject, type JxValue } from "../core/jx/value.ts";
import { catalogsOf, sendUpdate } from "../io/catalog_client.ts";
import { defineCommand, versionOption } from "./cli.ts";
import { version } from "./commands.ts";
import { asText, catalogsRow } from "./option_values.ts";

export const command = defineCommand({
  name: "catalog-update",
  purpose: "Tell catalogs of this machine: what it is, and how busy.",
  usage: ["[options]"],
  examples: [
    ["catalog-update -c catalog.site.edu", "once; a cron job keeps the record alive"],
    ["catalog-update -f more.json", "with the fields of a JX object added"],
  ],
  arguments: {},
  options: {
    catalogs: {
      flags: "-c, --catalog HOST[:PORT],…",
      ...catalogsRow,
      describe: "catalogs to tell, all of them; the port is CATALOG_PORT, else 9097",
      common: true,
    },
    file: {
      flags: "-f, --file FILE",
      describe: "add the fields of the JX object in FILE; they win",
      parse: asText,
      common: true,
    },
    version: versionOption,
  },
  async run({ options, terminal: { stderr }, program }) {
    const catalogs = catalogsOf(options.catalogs);
    const added = options.file === undefined ? new Map() : await readRecord(options.file);
    const record = new Map([...added, ...machine().filter(([key]) => !added.has(key))]);
    try {
      const troubles = await sendUpdate(catalogs, record, { signal: new AbortController().signal });
      for (const trouble of troubles) stderr.write(`Not told: ${trouble}\n`);
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      throw new RunError(`${program}: unable to send update: ${error.message}`);
    }
    return 0;
  },
});

/** As catalog_update tells it; memory in bytes. The comma in the last key is its own. */
function machine(): [string, JxValue][] {
  const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
  const fields: [string, string | number][] = [
    ["type", "node"],
    ["version", version],
    ["cpu", arch() === "x64" ? "x86_64" : arch() === "arm64" ? "aarch64" : arch()],
    ["opsys", type().toLowerCase()],
    ["opsysversion", release().toLowerCase()],
    ["load1", load1],
    ["load5", load5],
    ["load15", load15],
    ["memory_total", totalmem()],
    ["memory_avail", freemem()],
    ["cpus", cpus().length],
    ["owner", userInfo().username],
    ["uptime,", Math.floor(Deno.osUptime())],
  ];
  return fields.map(([key, value]) => [key, fromJson(value)]);
}

async function readRecord(path: string): Promise<JxObject> {
  let value: JxValue;
  try {
    value = parseJxValue(await Deno.readTextFile(path));
  } catch (error) {
    throw new UsageError(`${path} does not contain a valid json record: ${messageOf(error)}`);
  }
  if (isJxObject(value)) return value;
  throw new UsageError(`${path} does not contain a valid json record: it is no object`);
}
