/**
 * Which channels there are and where: conda's settings, as far as they matter for a solve, from
 * the contents of condarc files and from CONDA_* variables; and names of channels as URLs.
 */
import { UsageError } from "../errors.ts";
import { isRecord } from "../is_record.ts";
import { type Platform, platforms } from "./platform.ts";

/** Which records of a name that several channels have may be taken. */
export const channelPriorities = ["strict", "flexible", "disabled"] as const;
export type ChannelPriority = (typeof channelPriorities)[number];

export interface ChannelSettings {
  /** What users configured, most important first; empty if nothing. */
  readonly channels: readonly string[];
  /** URL below which the channels lie that are given by a bare name. */
  readonly channelAlias: string;
  /** What the name `defaults` stands for. */
  readonly defaultChannels: readonly string[];
  /** URL below which a channel lies, by its name. */
  readonly customChannels: ReadonlyMap<string, string>;
  /** Names that stand for several channels. */
  readonly customMultichannels: ReadonlyMap<string, readonly string[]>;
  /** Other places of a channel, by its name or URL; the first that answers is taken. */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
  readonly priority: ChannelPriority;
  /** False: certificates are not to be checked; a text: file of the authorities to trust. */
  readonly sslVerify: boolean | string;
  /** URL of a proxy, by `http`, `https` or `SCHEME://HOST`. */
  readonly proxies: ReadonlyMap<string, string>;
  readonly retriesMax: number;
  readonly readTimeoutMs: number;
  readonly offline: boolean;
  /** CONDA_SUBDIR. */
  readonly platform: Platform | null;
  /** CONDA_OVERRIDE_*, by the name in lower case: `glibc` → `2.28`. */
  readonly overrides: ReadonlyMap<string, string>;
}

export interface Channel {
  /** As users call it. */
  readonly name: string;
  /** Without subdir and last slash; what its records are known by. */
  readonly url: string;
  /** Where to fetch from, first choice first; at least one. */
  readonly places: readonly string[];
}

/** What a file says; `value` is its YAML, parsed. */
export interface CondarcFile {
  readonly path: string;
  readonly value: unknown;
}

/** conda's own; wqx takes strict priority for one more: mixtures of channels rarely work. */
export const defaultSettings: ChannelSettings = {
  channels: [],
  channelAlias: "https://conda.anaconda.org",
  defaultChannels: ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"],
  customChannels: new Map(),
  customMultichannels: new Map(),
  mirrors: new Map(),
  priority: "strict",
  sslVerify: true,
  proxies: new Map(),
  retriesMax: 3,
  readTimeoutMs: 60_000,
  offline: false,
  platform: null,
  overrides: new Map(),
};

/**
 * Settings from files, the least important first, and variables, which beat them. Lists are
 * joined, the more important first; other keys than those of ChannelSettings are left alone.
 * Throws UsageError that names the file or variable.
 */
export function readSettings(
  files: readonly CondarcFile[],
  env: Readonly<Record<string, string | undefined>>,
): ChannelSettings {
  let settings = defaultSettings;
  for (const { path, value } of files) {
    if (value === null || value === undefined) continue;
    if (!isRecord(value)) throw new UsageError(`${path}: expected keys such as "channels"`);
    settings = withKeys(settings, value, path);
  }
  return withVariables(settings, env);
}

/**
 * Channels by their names, URLs or folders, in order and each once; `nodefaults` stands for none.
 * `folder` is what relative folders are in, `home` what `~` is. Throws UsageError on what is none
 * of them.
 */
export function resolveChannels(
  names: readonly string[],
  settings: ChannelSettings,
  { folder, home }: { readonly folder: string; readonly home: string },
): readonly Channel[] {
  const found = new Map<string, Channel>();
  const add = (given: string, groups: readonly string[]) => {
    const name = given.trim().replace(/\/+$/, "");
    if (name === "nodefaults") return;
    const members = name === "defaults"
      ? settings.customMultichannels.get(name) ?? settings.defaultChannels
      : settings.customMultichannels.get(name);
    if (members !== undefined && !groups.includes(name)) {
      for (const member of members) add(member, [...groups, name]);
      return;
    }
    const url = channelUrl(name, settings, { folder, home });
    if (found.has(url)) return;
    const places = settings.mirrors.get(name) ?? settings.mirrors.get(url) ?? [url];
    found.set(url, { name, url, places: places.map((place) => place.replace(/\/+$/, "")) });
  };
  for (const name of names) add(name, []);
  return [...found.values()];
}

/** A URL as it may be shown: without password or token. */
export function shownUrl(url: string): string {
  const open = url.replace(/^(\w+:\/\/)[^/@]*@/, "$1");
  return open.replace(/^(https?:\/\/[^/]+(?:\/.*?)?\/t\/)[^/]+(?=\/|$)/, "$1***");
}

function channelUrl(
  name: string,
  settings: ChannelSettings,
  { folder, home }: { readonly folder: string; readonly home: string },
): string {
  if (/^(?:https?|file):\/\//.test(name)) {
    if (!URL.canParse(name)) throw new UsageError(`Cannot read the channel "${name}" as a URL`);
    return name.replace(/^file:\/\/localhost\//, "file:///");
  }
  if (/^[\w+.-]+:\/\//.test(name)) {
    throw new UsageError(
      `Cannot read the channel "${name}": channels are found by https, http or file`,
    );
  }
  if (name.startsWith("/")) return fileUrl(name);
  if (name === "~" || name.startsWith("~/")) return fileUrl(home + name.slice(1));
  if (/^\.\.?(?:\/|$)/.test(name)) return fileUrl(`${folder}/${name}`);
  if (!/^[\w.-]+(?:\/[\w.+-]+)*$/.test(name)) {
    throw new UsageError(
      `Cannot read the channel "${name}": give a name such as conda-forge, a URL, or a folder`,
    );
  }
  // The longest name that it begins with: custom channels may have parts.
  for (let head = name; head !== ""; head = head.slice(0, Math.max(0, head.lastIndexOf("/")))) {
    const base = settings.customChannels.get(head);
    if (base !== undefined) return `${base}/${name}`;
  }
  return `${settings.channelAlias}/${name}`;
}

function fileUrl(path: string): string {
  const url = new URL("file:///");
  url.pathname = path.replaceAll("%", "%25").replaceAll("\\", "%5C");
  return url.href.replace(/\/+$/, "");
}

function withKeys(
  settings: ChannelSettings,
  value: Readonly<Record<string, unknown>>,
  path: string,
): ChannelSettings {
  const fail = (key: string, what: string) => new UsageError(`${path}: "${key}" must be ${what}`);
  const text = (key: string, item: unknown): string => {
    if (typeof item !== "string" || item === "") throw fail(key, "a text");
    return item;
  };
  const list = (key: string, item: unknown): readonly string[] => {
    if (!Array.isArray(item)) throw fail(key, "a list of texts");
    return item.map((one) => text(key, one));
  };
  const map = <T>(key: string, item: unknown, read: (item: unknown) => T): Map<string, T> => {
    if (!isRecord(item)) throw fail(key, "a mapping");
    return new Map(Object.entries(item).map(([name, one]) => [name, read(one)]));
  };
  const joined = <T>(mine: ReadonlyMap<string, T>, before: ReadonlyMap<string, T>) =>
    new Map([...before, ...mine]);
  const number = (key: string, item: unknown): number => {
    if (typeof item !== "number" || !(item >= 0)) throw fail(key, "a number from 0 on");
    return item;
  };

  const s: { -readonly [K in keyof ChannelSettings]: ChannelSettings[K] } = { ...settings };
  for (const [key, item] of Object.entries(value)) {
    if (item === null) continue;
    switch (key) {
      case "channels":
      case "channel": {
        const own = typeof item === "string" ? [item] : list(key, item);
        s.channels = [...new Set([...own, ...settings.channels])];
        break;
      }
      case "channel_alias":
        s.channelAlias = baseUrl(text(key, item));
        break;
      case "default_channels":
        s.defaultChannels = list(key, item);
        break;
      case "custom_channels":
        s.customChannels = joined(
          map(key, item, (one) => baseUrl(text(key, one))),
          settings.customChannels,
        );
        break;
      case "custom_multichannels":
        s.customMultichannels = joined(
          map(key, item, (one) => list(key, one)),
          settings.customMultichannels,
        );
        break;
      case "mirrored_channels":
        s.mirrors = joined(map(key, item, (one) => list(key, one)), settings.mirrors);
        break;
      case "channel_priority":
        s.priority = priorityOf(item, `${path}: "channel_priority"`);
        break;
      case "ssl_verify":
        s.sslVerify = sslVerifyOf(item, `${path}: "ssl_verify"`);
        break;
      case "proxy_servers":
        s.proxies = joined(map(key, item, (one) => text(key, one)), settings.proxies);
        break;
      case "remote_max_retries":
        s.retriesMax = number(key, item);
        break;
      case "remote_read_timeout_secs":
        s.readTimeoutMs = number(key, item) * 1000;
        break;
      case "offline":
        s.offline = booleanOf(item, `${path}: "offline"`);
        break;
      case "subdir":
        s.platform = platformOf(text(key, item), `${path}: "subdir"`);
        break;
    }
  }
  return s;
}

function withVariables(
  settings: ChannelSettings,
  env: Readonly<Record<string, string | undefined>>,
): ChannelSettings {
  /** Calls `read` if the variable is set to something. */
  const set = <T>(name: string, read: (value: string) => T): T | undefined => {
    const value = env[name];
    return value === undefined || value.trim() === "" ? undefined : read(value.trim());
  };
  const words = (value: string) => value.split(/[,&]/).map((s) => s.trim()).filter((s) => s !== "");
  const channels = set("CONDA_CHANNELS", words) ?? [];
  const overrides = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    const found = /^CONDA_OVERRIDE_(\w+)$/.exec(name);
    if (found !== null && value !== undefined) overrides.set(found[1]!.toLowerCase(), value.trim());
  }
  const retries = set("CONDA_REMOTE_MAX_RETRIES", (v) => countOf(v, "CONDA_REMOTE_MAX_RETRIES"));
  const timeout = set(
    "CONDA_REMOTE_READ_TIMEOUT_SECS",
    (v) => countOf(v, "CONDA_REMOTE_READ_TIMEOUT_SECS"),
  );
  const caFile = set("REQUESTS_CA_BUNDLE", (v) => v) ?? set("SSL_CERT_FILE", (v) => v);
  return {
    ...settings,
    channels: [...new Set([...channels, ...settings.channels])],
    channelAlias: set("CONDA_CHANNEL_ALIAS", baseUrl) ?? settings.channelAlias,
    defaultChannels: set("CONDA_DEFAULT_CHANNELS", words) ?? settings.defaultChannels,
    priority: set("CONDA_CHANNEL_PRIORITY", (v) => priorityOf(v, "CONDA_CHANNEL_PRIORITY")) ??
      settings.priority,
    sslVerify: set("CONDA_SSL_VERIFY", (v) => sslVerifyOf(v, "CONDA_SSL_VERIFY")) ??
      (settings.sslVerify === true ? caFile ?? true : settings.sslVerify),
    retriesMax: retries ?? settings.retriesMax,
    readTimeoutMs: timeout === undefined ? settings.readTimeoutMs : timeout * 1000,
    offline: set("CONDA_OFFLINE", (v) => booleanOf(v, "CONDA_OFFLINE")) ?? settings.offline,
    platform: set("CONDA_SUBDIR", (v) => platformOf(v, "CONDA_SUBDIR")) ?? settings.platform,
    overrides,
  };
}

/** With a scheme and without a last slash. */
function baseUrl(text: string): string {
  const url = text.replace(/\/+$/, "");
  return /^\w+:\/\//.test(url) ? url : `https://${url}`;
}

function priorityOf(value: unknown, where: string): ChannelPriority {
  // Before it had three values it was a boolean.
  if (value === true || value === "true") return "flexible";
  if (value === false || value === "false") return "disabled";
  const found = channelPriorities.find((known) => known === value);
  if (found === undefined) {
    throw new UsageError(
      `${where} is one of ${channelPriorities.join(", ")}, not ${JSON.stringify(value)}`,
    );
  }
  return found;
}

function sslVerifyOf(value: unknown, where: string): boolean | string {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string" || value === "") {
    throw new UsageError(`${where} is true, false, or a file with certificates`);
  }
  if (value === "<system>" || value === "truststore") return true;
  return /^(?:true|yes|1)$/i.test(value) || !/^(?:false|no|0)$/i.test(value) && value;
}

function booleanOf(value: unknown, where: string): boolean {
  if (typeof value === "boolean") return value;
  if (typeof value === "string" && /^(?:true|yes|1|on)$/i.test(value)) return true;
  if (typeof value === "string" && /^(?:false|no|0|off)$/i.test(value)) return false;
  throw new UsageError(`${where} is true or false, not ${JSON.stringify(value)}`);
}

function countOf(value: string, where: string): number {
  if (!/^\d+(?:\.\d+)?$/.test(value)) {
    throw new UsageError(`${where} is a number, not "${value}"`);
  }
  return Number(value);
}

function platformOf(value: string, where: string): Platform {
  const found = platforms.find((known) => known === value);
  if (found === undefined) {
    throw new UsageError(`${where} is one of ${platforms.join(", ")}, not "${value}"`);
  }
  return found;
}
