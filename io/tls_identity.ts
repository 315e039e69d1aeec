/** Key and certificate of a manager that speaks TLS: read from files, or made for this run. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { messageOf, UsageError } from "../core/errors.ts";

/** Both as PEM text; the certificate may be followed by those that signed it. */
export interface TlsIdentity {
  readonly key: string;
  readonly certificate: string;
}

/** Nobody checks when it ends; long enough for any run. */
const validYears = 10;

const curve = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Kinds of keys that the TLS library can sign with. */
const usableKeys: readonly (string | undefined)[] = ["rsa", "ec", "ed25519"];

const certificateHead = "-----BEGIN CERTIFICATE-----";

/** A fresh key on the curve P-256, and a certificate that it signed itself. */
export async function selfSignedIdentity(): Promise<TlsIdentity> {
  await import("reflect-metadata"); // which x509 needs and leaves to its users
  const { PemConverter, X509CertificateGenerator } = await import("@peculiar/x509");
  const keys = await crypto.subtle.generateKey(curve, true, ["sign", "verify"]);
  const notBefore = new Date();
  const notAfter = new Date(notBefore);
  notAfter.setFullYear(notBefore.getFullYear() + validYears);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: "CN=wqx",
    notBefore,
    notAfter,
    signingAlgorithm: curve,
    keys,
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { key: PemConverter.encode(key, "PRIVATE KEY"), certificate: certificate.toString("pem") };
}

/** Reads PEM files. Throws a UsageError that says which of them is wrong, and how. */
export async function readIdentity(
  keyPath: string,
  certificatePath: string,
): Promise<TlsIdentity> {
  const privateKey = parseKey(await readText(keyPath, "key"), keyPath);
  const certificate = await readText(certificatePath, "certificate");
  const first = parseCertificate(certificate, certificatePath);
  if (!first.checkPrivateKey(privateKey)) {
    throw new UsageError(
      `Cannot use the TLS key ${keyPath} with the certificate ${certificatePath}: ` +
        "the certificate was made for another key",
    );
  }
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  try {
    createSecureContext({ key, cert: certificate });
  } catch (error) {
    throw new UsageError(
      `Cannot use the TLS key ${keyPath} with the certificate ${certificatePath}: ` +
        messageOf(error),
    );
  }
  return { key, certificate };
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new UsageError(`Cannot read the TLS ${what} ${path}: ${messageOf(error)}`);
  }
}

function parseKey(text: string, path: string): KeyObject {
  const bad = (why: string) => new UsageError(`Cannot use the TLS key ${path}: ${why}`);
  // The file may hold the certificate as well.
  const block = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^]*?-----END \1-----/.exec(text)?.[0];
  if (block === undefined) {
    throw bad(
      text.includes(certificateHead)
        ? "it holds a certificate; the key comes first, then the certificate"
        : "it is no PEM file with a private key",
    );
  }
  if (block.includes("ENCRYPTED")) {
    throw bad(`it is encrypted; decrypt it first (openssl pkey -in ${path} -out OTHER)`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(block);
  } catch (error) {
    throw bad(`it cannot be decoded (${messageOf(error)})`);
  }
  const kind = key.asymmetricKeyType;
  if (!usableKeys.includes(kind)) throw bad(`it is a key for ${kind}; RSA and EC keys will do`);
  return key;
}

function parseCertificate(text: string, path: string): X509Certificate {
  const bad = (why: string) => new UsageError(`Cannot use the TLS certificate ${path}: ${why}`);
  if (!text.includes(certificateHead)) throw bad("it is no PEM file with a certificate");
  try {
    return new X509Certificate(text);
  } catch (error) {
    throw bad(`it cannot be decoded (${messageOf(error)})`);
  }
}
