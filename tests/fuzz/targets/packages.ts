/** What channels and packages say: repodata, records, locks, wishes, condarc, notebooks. */
import assert from "node:assert/strict";
import { RunError, UsageError } from "../../../core/errors.ts";
import { dataVariables, parseEnvironment } from "../../../core/package/activation.ts";
import { defaultSettings, readSettings, resolveChannels } from "../../../core/package/condarc.ts";
import { parseCondaMeta, withoutFiles } from "../../../core/package/conda_meta.ts";
import { parseEntryPoint, parseLinkJson } from "../../../core/package/entry_points.ts";
import { notebookCode } from "../../../core/package/imports.ts";
import { packagePaths, parseHasPrefix } from "../../../core/package/link_paths.ts";
import { lockData, readLock } from "../../../core/package/lock.ts";
import {
  dependencyText,
  nameOfDependency,
  parseMatchSpec,
} from "../../../core/package/match_spec.ts";
import { readShardIndex, Repodata } from "../../../core/package/repodata.ts";
import { assertSame, jsonOf, orRefused, type Target, textOf } from "../target.ts";

const folder = {
  url: "https://host/channel/linux-64",
  subdir: "linux-64",
  channel: "channel",
} as const;

const record =
  '{"name":"a","version":"1.0","build":"h0_0","build_number":0,"depends":["b >=1,<2"],"constrains":[],' +
  '"sha256":"' + "a7".repeat(32) + '","md5":"' + "b8".repeat(16) +
  '","size":5,"timestamp":1700000000,"noarch":"python","license":"MIT"}';

const lock =
  '{"wqx-lock":1,"platform":"linux-64","virtual":{"__glibc":"2.28"},"conda":[{"name":"a","version":"1","build":"0",' +
  '"buildNumber":0,"subdir":"noarch","noarch":"python","depends":[],"constrains":[],"fileName":"a-1-0.conda","url":"https://h/a-1-0.conda",' +
  '"channel":"c","sha256":"x","size":5}],"pipOptions":[],"pip":[{"name":"u","version":"1","url":null,"sha256":["x"]}],"locals":[],' +
  '"git":[{"name":"g","remote":"r","ref":"f"}],"http":[{"name":"h","url":"u","sha256":"s","type":"tar"}]}';

export const packageTargets: readonly Target[] = [
  {
    name: "repodata",
    code: ["core/package/repodata.ts"],
    words: [
      "packages",
      "packages.conda",
      "info",
      "base_url",
      "a-1.conda",
      "../a-1.conda",
      "removed",
      "track_features",
      "license",
      "timestamp",
      "shards",
      "file:///x",
    ],
    isJson: true,
    seeds: [
      `{"info":{"subdir":"linux-64","base_url":"https://x/y/"},"packages":{"a-1-0.tar.bz2":${record}},"packages.conda":{"a-1-0.conda":${record}}}`,
      '{"info":{"base_url":"./","shards_base_url":"./shards"},"shards":{"a":"' + "a7".repeat(32) +
      '"}}',
    ],
    run(bytes) {
      const json = jsonOf(bytes);
      if (json === null) return;
      const data = orRefused(() => new Repodata(json.value, folder), RunError);
      for (const name of data?.names() ?? []) {
        for (const { url, fileName } of data!.recordsOf(name)) {
          assert.ok(URL.canParse(url) && !fileName.includes("/"));
        }
      }
      orRefused(() => readShardIndex(json.value, folder), RunError);
    },
  },
  {
    name: "locks",
    code: ["core/package/lock.ts"],
    words: ["linux-64", "osx-arm64", "../a.conda", "a.tar.bz2", "wqx-lock"],
    isJson: true,
    seeds: [lock],
    run(bytes) {
      const json = jsonOf(bytes);
      if (json === null) return;
      const found = orRefused(() => readLock(json.value), UsageError);
      if (found !== null) {
        assertSame(readLock(JSON.parse(JSON.stringify(lockData(found)))), found, "lock");
      }
    },
  },
  {
    name: "match-specs",
    code: ["core/package/match_spec.ts"],
    words: [
      "numpy",
      ">=",
      "==",
      "=",
      "*",
      "[version='",
      "build=",
      "channel=",
      "::",
      "conda-forge/linux-64",
      "#",
      ",",
      "|",
      "https://h/c",
      " ",
    ],
    lengthMax: 300,
    seeds: [
      "conda-forge/linux-64::numpy >=1.2,<2|3.* py*_0",
      "a[version='>=1',build=h0,md5=x]",
      "python=3.11=h_0",
      "b 1.0 0 # c",
    ],
    run(bytes) {
      const text = textOf(bytes);
      nameOfDependency(text);
      const spec = orRefused(() => parseMatchSpec(text), UsageError);
      if (spec === null) return;
      const again = parseMatchSpec(dependencyText(spec));
      assertSame(
        [again.name, again.version, again.build],
        [spec.name, spec.version, spec.build],
        "read again",
      );
    },
  },
  {
    name: "condarc",
    code: ["core/package/condarc.ts"],
    words: [
      ..."channels default_channels channel_alias channel_priority custom_channels custom_multichannels"
        .split(" "),
      ..."mirrored_channels ssl_verify proxy_servers remote_max_retries offline subdir defaults nodefaults"
        .split(" "),
      ..."https://u:p@h/t/tk-1/c file:///x ~/c ./c strict".split(" "),
    ],
    isJson: true,
    seeds: [
      '{"channels":["conda-forge","defaults","a"],"channel_alias":"https://h","custom_channels":{"x":"https://y"},"custom_multichannels":{"a":["b","a","c"]},"channel_priority":"flexible","ssl_verify":false,"remote_max_retries":2,"proxy_servers":{"https":"http://p"},"mirrored_channels":{"conda-forge":["https://m"]}}',
      '{"custom_multichannels":{"a":["b","b","c"],"b":["c","c","d"],"c":["d","d","a"]},"channels":["a"]}',
    ],
    run(bytes) {
      const json = jsonOf(bytes);
      if (json === null) return;
      const settings = orRefused(
        () => readSettings([{ path: "condarc", value: json.value }], {}),
        UsageError,
      );
      const places = { folder: "/f", home: "/h" };
      orRefused(
        () => resolveChannels(["a", "defaults", "x/y"], settings ?? defaultSettings, places),
        UsageError,
      );
    },
  },
  {
    name: "package-files",
    code: [
      "core/package/link_paths.ts",
      "core/package/conda_meta.ts",
      "core/package/entry_points.ts",
      "core/package/activation.ts",
    ],
    words: [
      "_path",
      "path_type",
      "hardlink",
      "softlink",
      "prefix_placeholder",
      "file_mode",
      "no_link",
      "../x",
      "export A=$1/poncho/data/A",
      "noarch",
      "entry_points",
      "a = b:c",
    ],
    isJson: true,
    seeds: [
      '{"paths":[{"_path":"bin/a","path_type":"hardlink","prefix_placeholder":"/p","file_mode":"text","sha256":"x","size_in_bytes":5}],"paths_version":1}',
      '{"name":"a","version":"1","files":["bin/a"],"paths_data":{"paths":[{"_path":"bin/a"}],"paths_version":1}}',
      '{"noarch":{"type":"python","entry_points":["a = b.c:d.e"]},"package_metadata_version":1}',
      "/opt/p text bin/a\n\"/q x\" binary 'b c'\nplain\n",
      'export A=$1/poncho/data/A\nexport B="$1/x"\n# c\n',
    ],
    run(bytes) {
      const text = textOf(bytes);
      const none = { files: null, hasPrefix: null, noLink: null, pathsJson: null };
      const paths = [
        orRefused(() => packagePaths({ ...none, pathsJson: text }, () => false), RunError),
        orRefused(
          () => packagePaths({ ...none, files: text, hasPrefix: "" }, () => true),
          RunError,
        ),
      ];
      for (const { path } of paths.flatMap((some) => some ?? [])) {
        assert.ok(!path.startsWith("/") && !path.split("/").includes(".."));
      }
      orRefused(() => parseHasPrefix(text), RunError);
      const meta = orRefused(() => parseCondaMeta(text), RunError);
      if (meta !== null) {
        const left = parseCondaMeta(withoutFiles(text, new Set(meta.files.slice(0, 1))));
        assert.ok(left.files.length <= meta.files.length);
      }
      orRefused(() => parseLinkJson(text), RunError);
      orRefused(() => parseEntryPoint(text), RunError);
      for (const name of Object.keys(dataVariables(text, "/p") ?? {})) assert.match(name, /^\w+$/);
      parseEnvironment(bytes);
    },
  },
  {
    name: "notebooks",
    code: ["core/package/imports.ts"],
    words: [
      "cells",
      "cell_type",
      "code",
      "source",
      "%%time\n",
      "!ls",
      "%pip install x",
      "?x",
      "import a\n",
      "x = !ls",
    ],
    isJson: true,
    seeds: [
      '{"cells":[{"cell_type":"code","source":["import a\\n","%matplotlib inline\\n","x = !ls\\n"]},{"cell_type":"markdown","source":"b"},{"cell_type":"code","source":"%%bash\\nls"}],"nbformat":4}',
    ],
    run: (bytes) => void orRefused(() => notebookCode(textOf(bytes)), UsageError),
  },
];
