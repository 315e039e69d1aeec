/** `obtain_package.ts CACHE RECORD_JSON`: brings one package into a cache, as a process of its own. */
import type { PackageRecord } from "../../core/package/record.ts";
import { PackageCache } from "../../package/package_cache.ts";

const [cache = "", record = ""] = Deno.args;
const { wasThere } = await new PackageCache(cache).obtain(JSON.parse(record) as PackageRecord, {
  signal: new AbortController().signal,
});
Deno.stdout.writeSync(new TextEncoder().encode(wasThere ? "there\n" : "made\n"));
