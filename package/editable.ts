/** The editable projects of the Python on PATH. */
import type { EditableProject } from "../core/package/editable.ts";
import { findProgram } from "../io/programs.ts";
import { runProgram } from "./programs.ts";

/** As `pip list --editable` finds them, of pip's records (PEP 610) and setuptools' links. */
const listing = `
import importlib.metadata, json, os, sys, urllib.parse, urllib.request
found = []
for one in importlib.metadata.distributions():
    text = one.read_text("direct_url.json")
    record = json.loads(text) if text else {}
    url = record.get("url", "")
    if record.get("dir_info", {}).get("editable") and url.startswith("file:"):
        path = urllib.request.url2pathname(urllib.parse.urlparse(url).path)
        found.append([one.metadata["Name"], path])
for folder in sys.path:
    if os.path.isdir(folder):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".egg-link"):
                with open(os.path.join(folder, name)) as link:
                    found.append([name[: -len(".egg-link")], link.readline().strip()])
print(json.dumps(found))
`;

/** Those of `python`, else `python3` on PATH; none where there is no Python that tells them. */
export async function editableProjects(
  searchPath: string,
  signal: AbortSignal,
): Promise<readonly EditableProject[]> {
  const path = ["python", "python3"].map((name) => findProgram(name, searchPath))
    .flatMap((found) => "path" in found ? [found.path] : [])[0];
  if (path === undefined) return [];
  const { code, stdout } = await runProgram([path, "-c", listing], { cwd: "/", signal });
  if (code !== 0) return [];
  const told: unknown = JSON.parse(stdout);
  const byPath = new Map<string, EditableProject>();
  for (const pair of Array.isArray(told) ? told : []) {
    if (!Array.isArray(pair)) continue;
    const [name, folder] = pair as unknown[];
    if (typeof name === "string" && typeof folder === "string") {
      byPath.set(folder, { name, path: folder });
    }
  }
  return [...byPath.values()];
}
