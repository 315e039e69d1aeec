/** The manager's API (docs/api.md): frames, and tasks in them. */
import assert from "node:assert/strict";
import { FrameDecoder, frameStart, kind } from "../../../core/api/frames.ts";
import { Buffers, parseTask } from "../../../core/api/task.ts";
import { concat } from "../../../core/bytes.ts";
import { PeerProtocolError, UsageError } from "../../../core/errors.ts";
import { assertSame, inPieces, jsonOf, orRefused, type Target } from "../target.ts";

const hello = frameStart(kind.hello, { version: 1, name: "demo", workers: [] });
const submit = concat([
  frameStart(kind.submit, [[1, "echo", "sim", [[2, 3, "in"]], [["/tmp/o", "o", 1]]]], {
    rawBytes: 3,
  }),
  new Uint8Array([97, 98, 99]),
]);

export const apiTargets: readonly Target[] = [
  {
    name: "api-frames",
    code: ["core/api/frames.ts"],
    words: ["\x01\0\0\0", "\x02\0\0\0", "\0\0\0\x80", "null", "[]"],
    seeds: [hello, submit, concat([hello, submit, hello])],
    // The size of the JSON of the first frame is made what follows, so that its end is reached.
    mend(bytes, rng) {
      if (bytes.length < 16) return bytes;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const raw = Math.floor(rng() * Math.min(8, bytes.length - 15));
      view.setUint32(0, bytes.length - 16 - raw, true);
      view.setUint32(4, raw, true);
      if (rng() < 0.7) view.setUint32(8, 1 + Math.floor(rng() * 3), true);
      return bytes;
    },
    run(bytes) {
      const [whole, cut] = [[bytes], inPieces(bytes)].map((pieces) => {
        const decoder = new FrameDecoder();
        const frames: unknown[] = [];
        const refused = orRefused(() => {
          for (const piece of pieces) {
            decoder.feed(piece);
            for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
              frames.push([frame.kind, frame.request, frame.value, frame.raw.toHex()]);
            }
          }
          return decoder.isWithin;
        }, PeerProtocolError);
        return { frames, refused };
      });
      assertSame(cut, whole, "cut elsewhere");
    },
  },
  {
    name: "api-tasks",
    code: [
      "core/api/task.ts",
      "core/api/fields.ts",
      "core/cache_names.ts",
      "core/tasklist/names.ts",
    ],
    words: [
      ..."cores memory disk gpus priority max_retries end_time start_time_min running_time env"
        .split(" "),
      ..."running_time_min features coprocess tag algorithm monitor_output ../x ./a a//b /tmp/x"
        .split(" "),
    ],
    isJson: true,
    seeds: [
      '[1,"echo","sim",[[1,"/tmp/a","a",1],[2,3,"b"],[3,"cmd","c"],[4,"/tmp/x","d",0,1,9],[5,"","e"],[6,"http://h/x","f"]],[["/tmp/o","o",1],["/tmp/p","p",96]],{"cores":1,"memory":5,"env":{"A":"b","C":null},"features":["x"],"coprocess":"f"}]',
      '[2,"x"]',
      '[3,"x","c",[],[],{"end_time":17e8,"running_time":5,"max_retries":2,"monitor_output":"/m"}]',
    ],
    run(bytes) {
      const json = jsonOf(bytes);
      if (json === null) return;
      const buffers = new Buffers(new Uint8Array(64));
      const task = orRefused(() => parseTask(json.value, buffers), UsageError);
      if (task === null) return;
      for (const { sandboxName, cacheName } of [...task.spec.inputs, ...task.spec.outputs]) {
        assert.equal(typeof sandboxName, "string");
        assert.match(cacheName, /^[^/\0\n]+$/, "a cache name is one name");
      }
    },
  },
];
