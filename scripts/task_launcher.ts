/**
 * Compiles `worker/launcher.c` into `worker/launcher_code.ts`, for all machines that wqx runs on.
 * The compiler is that of Zig 0.13.0, which PyPI has as `ziglang`; give the command that starts it:
 *
 *   deno run -A scripts/task_launcher.ts python3 -m ziglang
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

const architectures = ["x86_64", "aarch64"];
const flags = [
  ..."-std=c11 -Os -Wall -Wextra -Werror".split(" "),
  // Nothing but what the source says, in as few pages as possible.
  ..."-ffreestanding -nostdlib -static -fno-pie -mgeneral-regs-only".split(" "),
  ..."-fno-stack-protector -fno-unwind-tables -fno-asynchronous-unwind-tables".split(" "),
  ..."-Wl,--build-id=none -Wl,-z,norelro -Wl,-s".split(" "),
];

/** Of the source, kept beside the code to tell whether one was made from the other. */
export async function sourceHash(): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(pathOf("launcher.c"))).digest("hex");
}

/** The executable of one architecture. Throws with what the compiler says. */
export async function compile(
  [program = "zig", ...args]: readonly string[],
  architecture: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const path = await Deno.makeTempFile({ prefix: "wqx-launcher-" });
  try {
    const { success, stderr } = await new Deno.Command(program, {
      args: [
        ...args,
        "cc",
        "-target",
        `${architecture}-linux-musl`,
        ...flags,
        "-o",
        path,
        pathOf("launcher.c"),
      ],
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return await Deno.readFile(path);
  } finally {
    await Deno.remove(path);
  }
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../worker/${name}`, import.meta.url));
}

if (import.meta.main) {
  const lines = [
    "/** Made by scripts/task_launcher.ts: executables for Linux, by architecture, in base64. */",
    "export const launcherCode: Readonly<Record<string, string>> = {",
  ];
  for (const architecture of architectures) {
    const code = (await compile(Deno.args, architecture)).toBase64();
    const pieces = code.match(/.{1,92}/g) ?? [];
    lines.push(`  ${architecture}:`, pieces.map((piece) => `    "${piece}"`).join(" +\n") + ",");
  }
  lines.push("};", "");
  lines.push("/** SHA-256 of the `launcher.c` that it was made from. */");
  lines.push(`export const launcherSourceHash =\n  "${await sourceHash()}";`, "");
  await Deno.writeTextFile(pathOf("launcher_code.ts"), lines.join("\n"));
}
