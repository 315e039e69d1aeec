/** The keys of a YAML file, for configurations of a factory. */
import { isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { messageOf } from "../core/errors.ts";
import type { YamlReader } from "../core/factory/config_source.ts";

/** Most nodes that aliases may stand for: a configuration is short. */
const maxAliasCount = 100;

/** The keys with their lines, or what is wrong. */
export function readYaml(text: string): ReturnType<YamlReader> {
  const lines = new LineCounter();
  // Else it warns on stderr, of keys that are lists.
  const logLevel = "error";
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel });
  const lineAt = (offset: number | undefined) => Math.max(1, lines.linePos(offset ?? 0).line);
  const [error] = document.errors;
  if (error !== undefined) return { line: lineAt(error.pos[0]), problem: error.message };
  if (!isMap(document.contents)) {
    return { line: 1, problem: 'a configuration has a line "key: value" for each setting' };
  }
  try {
    return document.contents.items.map(({ key, value }) => ({
      key: String(isScalar(key) ? key.value : key),
      value: isNode(value) ? value.toJS(document, { maxAliasCount }) : value,
      isBare: isScalar(value) && value.type === "PLAIN" && typeof value.value === "string",
      line: lineAt(isNode(key) ? key.range?.[0] : 0),
    }));
  } catch (error) {
    return { line: 1, problem: messageOf(error) };
  }
}
