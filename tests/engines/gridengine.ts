/**
 * Grid Engine on this machine alone: a root folder of its own, in which the programs are links to
 * Debian's, qmaster as `sgeadmin`, execd, and one queue on `localhost`, which the machine's own name
 * is made an alias of.
 */
import { TempFolder } from "../support/temp.ts";
import { until } from "../support/until.ts";
import { Daemons, type Engine, freePorts, runProgram, untilEngine, whyNoEngine } from "./engine.ts";

/** Slots of its one queue. */
export const gridEngineSlots = 4;

const programs = "/usr/lib/gridengine";
const shared = "/usr/share/gridengine";

export const noGridEngine = whyNoEngine([
  `${programs}/sge_qmaster`,
  `${programs}/sge_execd`,
  `${programs}/spooldefaults`,
  "/usr/bin/qsub",
]);

/** Resolves when the queue is open. Disposing of it deletes all jobs and leaves nothing. */
export async function startGridEngine(): Promise<Engine> {
  const folder = await TempFolder.create("wqx-sge-");
  const daemons = new Daemons(folder);
  const [master, exec] = freePorts(2);
  const env = {
    SGE_ROOT: folder.path,
    SGE_CELL: "default",
    SGE_QMASTER_PORT: String(master),
    SGE_EXECD_PORT: String(exec),
    SGE_ND: "1", // daemons stay in the foreground
  };
  const run = (...words: string[]) => runProgram(words, env);
  const stop = async () => {
    await daemons[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  };
  try {
    const admin = await adminUser();
    await prepare(folder, env, admin);
    daemons.start([`${programs}/sge_qmaster`], env, admin);
    await untilEngine(daemons, "sge_qmaster", async () => (await run("qconf", "-sh")) !== "");
    await configure(folder, run);
    daemons.start([`${programs}/sge_execd`], env);
    await untilEngine(daemons, "an open queue", async () => {
      const xml = await run("qstat", "-f", "-xml");
      return xml.includes("all.q@localhost") && !/<state>\w*u/.test(xml);
    });
    return {
      env,
      run,
      async [Symbol.asyncDispose]() {
        try {
          await run("qdel", "-f", "-u", "*").catch(() => {}); // fails if there is none
          await until(async () => (await run("qstat", "-u", "*")).trim() === "", {
            what: "an empty queue",
            timeoutMs: 15_000,
          });
        } finally {
          await stop();
        }
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function adminUser(): Promise<{ uid: number; gid: number }> {
  const [, , uid, gid] = (await runProgram(["getent", "passwd", "sgeadmin"], {})).split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

/** As Debian's init_cluster does it, in our folder. */
async function prepare(
  folder: TempFolder,
  env: Readonly<Record<string, string>>,
  admin: { readonly uid: number; readonly gid: number },
): Promise<void> {
  await Deno.chmod(folder.path, 0o755);
  for (const name of ["bin", "lib", "util", "utilbin"]) {
    await Deno.symlink(`/var/lib/gridengine/${name}`, folder.join(name));
  }
  const ours = (text: string) =>
    text.replaceAll("/var/spool/gridengine", folder.join("spool"))
      // Root's jobs are let in, so that the tests need no user of their own.
      .replace(/^(min_[ug]id)\s+\d+$/gm, "$1 0");
  const bootstrap = ours(await Deno.readTextFile(`${shared}/default-bootstrap`));
  const configuration = ours(await Deno.readTextFile(`${shared}/default-configuration`));
  await folder.write("default/common/bootstrap", bootstrap);
  await folder.write("default/common/act_qmaster", "localhost\n");
  await folder.write("default/common/host_aliases", `localhost ${Deno.hostname()}\n`);
  await folder.write("configuration", configuration);
  for (const name of ["qmaster", "execd", "spooldb"]) {
    await Deno.mkdir(folder.join("spool", name), { recursive: true });
  }
  await runProgram(["chown", "-R", `${admin.uid}:${admin.gid}`, folder.path], {});
  const spool = (...words: string[]) => runProgram(words, env, admin);
  const database = folder.join("spool", "spooldb");
  await spool(`${programs}/spoolinit`, "berkeleydb", "libspoolb", database, "init");
  const resources = `${shared}/util/resources`;
  await spool(`${programs}/spooldefaults`, "configuration", folder.join("configuration"));
  await spool(`${programs}/spooldefaults`, "complexes", `${resources}/centry`);
  await spool(`${programs}/spooldefaults`, "usersets", `${resources}/usersets`);
  for (const user of ["sgeadmin", "root"]) {
    await spool(`${programs}/spooldefaults`, "managers", user);
  }
}

async function configure(
  folder: TempFolder,
  run: (...words: string[]) => Promise<string>,
): Promise<void> {
  const hosts = await folder.write("hosts", "group_name @allhosts\nhostlist localhost\n");
  const environment = await folder.write("environment", parallelEnvironment);
  const queue = await folder.write("queue", queueText);
  await run("qconf", "-as", "localhost");
  await run("qconf", "-Ahgrp", hosts);
  await run("qconf", "-Ap", environment);
  await run("qconf", "-Aq", queue);
  // It looks every second, not every fifteen.
  const scheduler = (await run("qconf", "-ssconf"))
    .replace(/^(schedule_interval)\s.*$/m, "$1 0:0:1")
    .replace(/^(flush_(?:submit|finish)_sec)\s.*$/gm, "$1 1");
  await run("qconf", "-Msconf", await folder.write("scheduler", scheduler));
}

const parallelEnvironment = `pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
`;

const nothing = "load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method " +
  "suspend_method resume_method terminate_method owner_list user_lists xuser_lists " +
  "subordinate_list complex_values projects xprojects calendar";
const limits = "rt cpu fsize data stack core rss vmem";
const queueText = `qname all.q
hostlist @allhosts
seq_no 0
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
processors UNDEFINED
qtype BATCH
pe_list smp
rerun FALSE
slots ${gridEngineSlots}
tmpdir /tmp
shell /bin/sh
shell_start_mode posix_compliant
notify 00:00:60
initial_state default
${nothing.split(" ").map((name) => `${name} NONE\n`).join("")}${
  limits.split(" ").map((name) => `s_${name} INFINITY\nh_${name} INFINITY\n`).join("")
}`;
