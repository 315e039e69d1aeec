/**
 * `uv`, where there is one: chooses the same distributions as pip, in a tenth of the time. It does
 * not read pip's settings, so that those of the environment are told to it, and where a file of
 * settings names an index pip is asked instead.
 */
import { findProgram } from "../io/programs.ts";

type Environment = Readonly<Record<string, string>>;

/** uv's names of pip's settings. */
const translated = [
  ["PIP_INDEX_URL", "UV_INDEX_URL"],
  ["PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"],
  ["PIP_FIND_LINKS", "UV_FIND_LINKS"],
  ["PIP_NO_INDEX", "UV_NO_INDEX"],
] as const;

/** Path of uv on PATH, unless pip's files of settings say what it would not know. */
export async function findUv(env: Environment): Promise<string | null> {
  const found = findProgram("uv", env.PATH ?? "");
  if (!("path" in found)) return null;
  for (const path of settingsFiles(env)) {
    const text = await Deno.readTextFile(path).catch(() => "");
    if (/^\s*(?:extra-)?index-url\b|^\s*find-links\b|^\s*no-index\b/m.test(text)) return null;
  }
  return found.path;
}

/** Where pip looks for its settings on Linux and macOS. */
function settingsFiles(env: Environment): string[] {
  const home = env.HOME ?? "";
  const config = env.XDG_CONFIG_HOME ?? `${home}/.config`;
  return [
    "/etc/pip.conf",
    "/etc/xdg/pip/pip.conf",
    `${config}/pip/pip.conf`,
    `${home}/.pip/pip.conf`,
    `${home}/Library/Application Support/pip/pip.conf`,
    ...env.PIP_CONFIG_FILE ? [env.PIP_CONFIG_FILE] : [],
  ];
}

/** Variables for uv: those of pip in its words; certificates are those of the system, as pip's. */
export function uvEnvironment(env: Environment): Environment {
  const own = translated.flatMap(([pip, uv]) => {
    const value = env[pip];
    // pip separates by blanks, uv a list of folders by commas.
    const words = uv === "UV_FIND_LINKS" ? value?.trim().replaceAll(/\s+/g, ",") : value;
    return words && env[uv] === undefined ? [[uv, words] as const] : [];
  });
  return { UV_SYSTEM_CERTS: "true", ...env, ...Object.fromEntries(own) };
}
