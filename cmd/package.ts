/** `wqx package …` */
import { defineGroup } from "./group.ts";

export const command = defineGroup({
  name: "package",
  purpose: "Make environments of conda and pip packages, and run commands in them where nothing " +
    "is installed.",
  commands: {
    create: {
      summary: "make an archive of what a specification names",
      load: async () => (await import("./package_create.ts")).packageCreateCommand,
    },
    run: {
      summary: "run a command in an archive, which is unpacked once",
      load: async () => (await import("./package_run.ts")).packageRunCommand,
    },
    analyze: {
      summary: "write a specification from what Python files import",
      load: async () => (await import("./package_analyze.ts")).packageAnalyzeCommand,
    },
    pack: {
      summary: "make an archive of an environment that is there, with conda-pack's options",
      load: async () => (await import("./conda_pack.ts")).packagePackCommand,
    },
    list: {
      summary: "show what is unpacked here, and what is kept for the next archive",
      load: async () => (await import("./package_store.ts")).packageListCommand,
    },
    clean: {
      summary: "remove what has not been used for long",
      load: async () => (await import("./package_store.ts")).packageCleanCommand,
    },
  },
});
