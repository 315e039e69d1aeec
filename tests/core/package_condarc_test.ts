import assert from "node:assert/strict";
import { UsageError } from "../../core/errors.ts";
import {
  defaultSettings,
  readSettings,
  resolveChannels,
  shownUrl,
} from "../../core/package/condarc.ts";

const place = { folder: "/data/my analysis", home: "/users/me" };

function urls(names: readonly string[], value: unknown = {}): string[] {
  const settings = readSettings([{ path: "condarc", value }], {});
  return resolveChannels(names, settings, place).map(({ url }) => url);
}

Deno.test("files are joined by importance, and variables beat them", () => {
  const files = [
    {
      path: "/etc/conda/condarc",
      value: {
        channels: ["site", "conda-forge"],
        channel_priority: "disabled",
        custom_channels: { site: "https://conda.site.org/", old: "http://a" },
        proxy_servers: { http: "http://proxy:3128" },
        ssl_verify: "/etc/ssl/site.pem",
        remote_max_retries: 5,
        auto_activate_base: false,
      },
    },
    { path: "empty", value: null },
    {
      path: "~/.condarc",
      value: {
        channels: ["mine", "conda-forge"],
        channel_priority: true,
        custom_channels: { old: "http://b" },
        mirrored_channels: { "conda-forge": ["https://m1/conda-forge/", "https://m2/cf"] },
      },
    },
  ];
  const settings = readSettings(files, {
    CONDA_CHANNELS: "first, second",
    CONDA_CHANNEL_ALIAS: "mirror.site.org/conda/",
    CONDA_SUBDIR: "linux-aarch64",
    CONDA_OVERRIDE_GLIBC: "2.17",
    CONDA_OVERRIDE_CUDA: "",
    CONDA_REMOTE_READ_TIMEOUT_SECS: "7.5",
    CONDA_OFFLINE: "true",
    CONDA_PREFIX: "/opt/conda",
  });
  assert.deepEqual(settings, {
    ...defaultSettings,
    channels: ["first", "second", "mine", "conda-forge", "site"],
    channelAlias: "https://mirror.site.org/conda",
    customChannels: new Map([["site", "https://conda.site.org"], ["old", "http://b"]]),
    mirrors: new Map([["conda-forge", ["https://m1/conda-forge/", "https://m2/cf"]]]),
    priority: "flexible",
    proxies: new Map([["http", "http://proxy:3128"]]),
    sslVerify: "/etc/ssl/site.pem",
    retriesMax: 5,
    readTimeoutMs: 7500,
    offline: true,
    platform: "linux-aarch64",
    overrides: new Map([["glibc", "2.17"], ["cuda", ""]]),
  });
  const [channel] = resolveChannels(["conda-forge"], settings, place);
  assert.deepEqual(channel, {
    name: "conda-forge",
    url: "https://mirror.site.org/conda/conda-forge",
    places: ["https://m1/conda-forge", "https://m2/cf"],
  });
});

Deno.test("priority and certificates have older and other spellings", () => {
  const priority = (value: string) => readSettings([], { CONDA_CHANNEL_PRIORITY: value }).priority;
  assert.deepEqual(["strict", "true", "false"].map(priority), ["strict", "flexible", "disabled"]);
  const verify = (value: string) => readSettings([], { CONDA_SSL_VERIFY: value }).sslVerify;
  assert.deepEqual(["yes", "no", "truststore", "/a.pem"].map(verify), [
    true,
    false,
    true,
    "/a.pem",
  ]);
  assert.equal(readSettings([], { REQUESTS_CA_BUNDLE: "/b.pem" }).sslVerify, "/b.pem");
});

Deno.test("channels are names below the alias, URLs, or folders", () => {
  assert.deepEqual(urls(["conda-forge", "a/label/dev", "https://h/c/", "http://u:p@h/d"]), [
    "https://conda.anaconda.org/conda-forge",
    "https://conda.anaconda.org/a/label/dev",
    "https://h/c",
    "http://u:p@h/d",
  ]);
  assert.deepEqual(urls(["/d/50% of it", "./c", "~/c", "file:///e/", "file://localhost/f"]), [
    "file:///d/50%25%20of%20it",
    "file:///data/my%20analysis/c",
    "file:///users/me/c",
    "file:///e",
    "file:///f",
  ]);
});

Deno.test("defaults and other names stand for several channels, nodefaults for none", () => {
  assert.deepEqual(urls(["defaults", "nodefaults"]), defaultSettings.defaultChannels);
  const value = {
    default_channels: ["https://h/main"],
    custom_channels: { "team": "https://t", "team/x": "https://x" },
    custom_multichannels: { all: ["team", "all", "defaults", "conda-forge"] },
    channel_alias: "https://alias",
  };
  assert.deepEqual(urls(["all", "conda-forge", "team/x", "team/y"], value), [
    "https://t/team",
    "https://alias/all",
    "https://h/main",
    "https://alias/conda-forge",
    "https://x/team/x",
    "https://t/team/y",
  ]);
});

Deno.test("what cannot be read as settings or a channel is named with its place", () => {
  const bad = (value: unknown, sentence: RegExp) =>
    assert.throws(() => readSettings([{ path: "/x/.condarc", value }], {}), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, sentence);
      return true;
    });
  bad(["a"], /^\/x\/\.condarc: expected keys such as "channels"$/);
  bad({ channels: "a", channel_alias: 3 }, /"channel_alias" must be a text/);
  bad({ channels: [3] }, /"channels" must be a text/);
  bad({ default_channels: "a" }, /"default_channels" must be a list of texts/);
  bad({ custom_channels: [] }, /"custom_channels" must be a mapping/);
  bad({ remote_max_retries: -1 }, /must be a number from 0 on/);
  bad({ channel_priority: "loose" }, /one of strict, flexible, disabled, not "loose"/);
  bad({ ssl_verify: 3 }, /"ssl_verify" is true, false, or a file/);
  bad({ offline: "maybe" }, /"offline" is true or false, not "maybe"/);
  bad({ subdir: "win-64" }, /is one of linux-64, .*, not "win-64"/);
  assert.throws(
    () => readSettings([], { CONDA_REMOTE_MAX_RETRIES: "many" }),
    /CONDA_REMOTE_MAX_RETRIES is a number, not "many"/,
  );
  assert.throws(() => urls(["ftp://h/c"]), /channels are found by https, http or file/);
  assert.throws(() => urls(["https://h:99999/c"]), /"https:\/\/h:99999\/c" as a URL/);
  assert.throws(() => urls(["a b"]), /give a name such as conda-forge, a URL, or a folder/);
});

Deno.test("URLs are shown without passwords and tokens", () => {
  assert.equal(shownUrl("https://me:secret@h/t/tk-123/c"), "https://h/t/***/c");
  assert.equal(shownUrl("file:///t/x"), "file:///t/x");
  assert.equal(shownUrl("https://h/c"), "https://h/c");
});
