/**
 * Packed environments of tasks: an archive is sent with each task, once to a worker, and the task's
 * command runs in it by `poncho_package_run`, which is sent too. Workers of wqx know that command
 * and unpack the archive themselves.
 */
import { createReadStream } from "node:fs";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { bufferInput, fileInput, shared } from "../core/cache_names.ts";
import { messageOf, RunError } from "../core/errors.ts";
import { TarReader } from "../core/package/tar_reader.ts";
import type { TaskSpec } from "../core/scheduler/tasks.ts";
import {
  archiveName,
  environmentWrapperName,
  inEnvironment,
} from "../core/worker/environment_command.ts";
import { sha256Of } from "../io/hash.ts";
import { formatOfFile } from "../package/decompress.ts";
import script from "../package/scripts/poncho_package_run.sh" with { type: "text" };
import { nearestFile } from "./source_file.ts";

/** An archive that is there; one by gzip was read to its end. */
export interface EnvironmentArchive {
  readonly path: string;
  /** In sandboxes; it changes with the content. */
  readonly name: string;
}

/** Without these, `poncho_package_run` refuses what it has unpacked. */
const neededMembers = ["bin/activate", "bin/conda-unpack"];

/** Read at once; bytes. */
const pieceBytes = 1024 ** 2;

interface Known {
  readonly stamp: string;
  readonly archive: Promise<EnvironmentArchive | string>;
}

/** By path: an archive is read once while its file stays as it is. */
const known = new Map<string, Known>();

/** The archive at an absolute path; or why it is none, as a sentence with the name as `written`. */
export async function openArchive(
  { path, written }: { readonly path: string; readonly written: string },
): Promise<EnvironmentArchive | string> {
  const why = (text: string) => `the environment "${written}" cannot be used: ${text}`;
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return why(messageOf(error));
    return `there is no file "${written}"${await nearestFile(path, written)}`;
  }
  if (info.isDirectory) {
    return why("it is a folder; make an archive of it with wqx package create --from-prefix");
  }
  const stamp = `${info.size} ${info.mtime?.getTime()} ${info.ino}`;
  const before = known.get(path);
  const archive = before?.stamp === stamp ? before.archive : read(path).catch((error) => {
    if (error instanceof RunError) return error.message;
    throw error;
  });
  known.set(path, { stamp, archive });
  const found = await archive;
  return typeof found === "string" ? why(found) : found;
}

async function read(path: string): Promise<EnvironmentArchive> {
  try {
    const format = formatOfFile(path);
    // Of the others only the worker learns whether they are whole.
    if (format === "gzip" || format === "tar") await checkMembers(path, format);
  } catch (error) {
    const why = messageOf(error);
    throw new RunError(
      why.includes("unexpected end of file") ? "it is cut off: its end is missing" : why,
    );
  }
  return { path, name: archiveName(path, await sha256Of(path)) };
}

async function checkMembers(path: string, format: "gzip" | "tar"): Promise<void> {
  const tar = new TarReader();
  const missing = new Set(neededMembers);
  await pipeline(
    createReadStream(path, { highWaterMark: pieceBytes }),
    format === "gzip" ? createGunzip({ chunkSize: pieceBytes }) : new PassThrough(),
    async (pieces: AsyncIterable<Uint8Array>) => {
      for await (const piece of pieces) {
        tar.feed(piece);
        for (let event = tar.next(); event !== null; event = tar.next()) {
          if (event.type === "member") missing.delete(event.member.path.replace(/^\.\//, ""));
        }
      }
      tar.finish();
    },
  );
  const [lacking] = missing;
  if (lacking === undefined) return;
  throw new RunError(
    `it has no ${lacking}, as packed environments have; make one with wqx package create`,
  );
}

/** The same task, in the environment. */
export function inArchive(task: TaskSpec, { path, name }: EnvironmentArchive): TaskSpec {
  const archive = fileInput(path, { sandboxName: name, owner: shared, version: name });
  const wrapper = { sandboxName: environmentWrapperName, owner: shared };
  return {
    ...task,
    command: inEnvironment(task.command, name),
    inputs: [...task.inputs, archive, bufferInput(scriptBytes, wrapper, 0o755)],
  };
}

const scriptBytes = new TextEncoder().encode(script);
