/** `wqx package` in tests: a home, a cache and a temporary folder of its own, no network. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type RealChannel, realChannel } from "../support/channel.ts";
import { TempFolder } from "../support/temp.ts";
import { Wqx, type WqxOptions } from "../support/wqx.ts";

export class CreateBed implements AsyncDisposable {
  private constructor(
    readonly folder: TempFolder,
    readonly channel: RealChannel,
    readonly env: Record<string, string>,
  ) {}

  static async create(): Promise<CreateBed> {
    const channel = await realChannel();
    const folder = await TempFolder.create("wqx-create-");
    await Deno.mkdir(folder.join("tmp"));
    return new CreateBed(folder, channel, {
      HOME: folder.path,
      TMPDIR: folder.join("tmp"),
      WQX_CACHE: folder.join("cache"),
      // Modules of the program are those of this machine.
      DENO_DIR: await denoFolder(),
      CONDA_CHANNEL_ALIAS: `file://${dirname(channel.dir)}`,
      PIP_NO_INDEX: "1",
      PIP_FIND_LINKS: channel.wheels,
      PATH: "/usr/local/bin:/usr/bin:/bin",
    });
  }

  async write(name: string, content: unknown): Promise<string> {
    const text = typeof content === "string" ? content : JSON.stringify(content, null, 4);
    await this.folder.write(name, text);
    return name;
  }

  start(args: readonly string[], options: WqxOptions = {}): Wqx {
    return this.#start(["package", ...args], options);
  }

  /** Runs to the end; the exit code must be `code`. */
  async run(
    args: readonly string[],
    { code = 0, ...options }: WqxOptions & { readonly code?: number } = {},
  ): Promise<Wqx> {
    await using wqx = this.start(args, options);
    assert.equal(await wqx.ended, code, `${args.join(" ")}:\n${wqx.stderr}${wqx.stdout}`);
    return wqx;
  }

  /** The same as if it were started by a link of this name. */
  async runAs(name: string, args: readonly string[], code = 0): Promise<Wqx> {
    await using wqx = this.#start(args, { env: { WQX_STARTED_AS: `/opt/${name}` } });
    assert.equal(await wqx.ended, code, `${name} ${args.join(" ")}:\n${wqx.stderr}${wqx.stdout}`);
    return wqx;
  }

  #start(args: readonly string[], options: WqxOptions): Wqx {
    return new Wqx(args, {
      cwd: this.folder.path,
      ...options,
      env: { ...this.env, ...options.env },
    });
  }

  /** What a command prints that runs in an archive, without what is in the cache. */
  async inArchive(archive: string, ...command: string[]): Promise<string> {
    const env = { WQX_CACHE: this.folder.join("elsewhere"), PATH: "/usr/bin:/bin" };
    return (await this.run(["run", archive, "--", ...command], { env })).stdout.trim();
  }

  /** Names in a folder of the bed. */
  names(...path: string[]): string[] {
    try {
      return [...Deno.readDirSync(this.folder.join(...path))].map(({ name }) => name).sort();
    } catch {
      return [];
    }
  }

  async sha256(name: string): Promise<string> {
    const bytes = await Deno.readFile(this.folder.join(name));
    return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  }

  /** A project with a script and a version, as people write one. */
  async project(name: string, version: string): Promise<string> {
    await this.write(
      `${name}/pyproject.toml`,
      `[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "${name}"
version = "${version}"
[project.scripts]
${name}-show = "${name}:show"
[tool.setuptools]
py-modules = ["${name}"]
`,
    );
    await this.write(`${name}/${name}.py`, `def show():\n    print("${name} ${version}")\n`);
    return this.folder.join(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }
}

async function denoFolder(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
