/** A grid of one authority, one server and one user, by openssl and the tools of XRootD. */
import { findProgram } from "../../io/programs.ts";
import type { TempFolder } from "./temp.ts";
import { xrootdHere } from "./xrootd.ts";

const searchPath = Deno.env.get("PATH") ?? "";

export const gridHere = xrootdHere &&
  ["openssl", "xrdgsiproxy"].every((name) => "path" in findProgram(name, searchPath));
export const gridReason = "apt-get install xrootd-server xrootd-client openssl";

export interface Grid {
  /** Of the user. */
  readonly proxy: string;
  /** What clients must know in their environment, but for the proxy. */
  readonly env: Readonly<Record<string, string>>;
  /** Lines for a server that wants to know who asks. */
  readonly serverConfig: readonly string[];
}

/** Makes it in a folder that the user of the server may look into. */
export async function makeGrid(folder: TempFolder, serverUid: number): Promise<Grid> {
  const at = (name: string) => folder.join(name);
  const run = async (program: string, ...args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args,
      cwd: folder.path,
      env: { X509_CERT_DIR: at("ca") },
    }).output();
    if (!success) throw new Error(`${program} ${args[0]}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout);
  };
  const key = ["-newkey", "rsa:2048", "-nodes"];
  await run(
    "openssl",
    ...["req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2"],
    ...["-subj", "/DC=test/CN=Test CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign"],
  );
  const hash = (await run("openssl", "x509", "-in", "ca.pem", "-noout", "-subject_hash")).trim();
  await Deno.mkdir(at("ca"));
  await Deno.copyFile(at("ca.pem"), at(`ca/${hash}.0`));
  await folder.write("usage", "keyUsage=critical,digitalSignature,keyEncipherment\n");
  for (const [name, subject] of [["host", "localhost"], ["user", "Some User"]] as const) {
    const request = ["-keyout", `${name}.key`, "-out", `${name}.csr`];
    await run("openssl", "req", ...key, ...request, "-subj", `/DC=test/CN=${subject}`);
    await run(
      "openssl",
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2"],
      ...["-CAcreateserial", "-extfile", "usage", "-out", `${name}.pem`],
    );
    await Deno.chmod(at(`${name}.key`), 0o400);
  }
  if (Deno.uid() === 0) await Deno.chown(at("host.key"), serverUid, serverUid);
  const files = ["-cert", at("user.pem"), "-key", at("user.key"), "-certdir", at("ca")];
  await run("xrdgsiproxy", "init", ...files, "-f", at("proxy"), "-bits", "2048");
  const own = `-certdir:${at("ca")} -cert:${at("host.pem")} -key:${at("host.key")}`;
  return {
    proxy: at("proxy"),
    // The certificate names a host, and clients call an address.
    env: { X509_CERT_DIR: at("ca"), XrdSecGSISRVNAMES: "*" },
    serverConfig: [
      "xrootd.seclib libXrdSec.so",
      `sec.protocol gsi ${own} -crl:0 -gmapopt:10 -dlgpxy:0`,
      "sec.protbind * only gsi",
    ],
  };
}
