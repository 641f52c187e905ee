/**
 * What deploy/compose.yaml runs once before the replicas start: it makes their certificates and puts an object into the
 * emulated origin. deploy/kubernetes/components/dev runs it for the object alone. It runs in Orca's own image, where
 * there is Node and nothing else. So it signs the two requests to the emulator itself. A second run changes nothing.
 */
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const {
  ORCA_MAIN = "/opt/orca/lib/orca.js",
  TLS_FOLDER = "/var/cache/orca",
  ORIGIN_ENDPOINT = "",
  ORIGIN_ACCOUNT = "",
  ORIGIN_KEY = "",
  /** Those that get a certificate. */
  REPLICAS = "orca-0,orca-1,orca-2",
} = process.env;
const container = "demo";
const replicas = REPLICAS.split(",").filter((id) => id !== "");
const objectBytes = 16 * 1024 * 1024;
/** The emulator takes a moment to listen. */
const originWaitMs = 60_000;

function makeCertificates(): void {
  const missing = replicas.filter((id) => !existsSync(join(TLS_FOLDER, `${id}.crt`)));
  if (missing.length === 0) return;
  const ids = missing.flatMap((id) => ["--replica", id]);
  const args = [ORCA_MAIN, "certs", "--out", TLS_FOLDER, "--server-name", "orca.internal", ...ids];
  execFileSync(process.execPath, args, { stdio: "inherit" });
}

/** A PUT with the SharedKey signature of Azure Blob Storage. Resolves with the status. */
async function put(
  path: string,
  query: string,
  ownHeaders: Readonly<Record<string, string>>,
  body: Uint8Array<ArrayBuffer>,
): Promise<number> {
  const headers: Record<string, string> = {
    ...ownHeaders,
    "x-ms-date": new Date().toUTCString(),
    "x-ms-version": "2021-12-02",
  };
  const signed = Object.keys(headers).sort();
  const resource = `/${ORIGIN_ACCOUNT}${new URL(ORIGIN_ENDPOINT).pathname}${path}${query.replace("=", ":").replace("?", "\n")}`;
  // Content-Encoding, -Language, -Length, -MD5, -Type, Date, If-Modified-Since, If-Match, If-None-Match, and two more.
  const standard = ["", "", body.length || "", "", "", "", "", "", ownHeaders["if-none-match"] ?? "", "", ""];
  const own = signed.filter((name) => name.startsWith("x-ms-")).map((name) => `${name}:${headers[name]}`);
  const text = ["PUT", ...standard, ...own, resource];
  const signature = createHmac("sha256", Buffer.from(ORIGIN_KEY, "base64"))
    .update(text.join("\n"))
    .digest("base64");
  const response = await fetch(`${ORIGIN_ENDPOINT}${path}${query}`, {
    method: "PUT",
    headers: { ...headers, authorization: `SharedKey ${ORIGIN_ACCOUNT}:${signature}` },
    body,
  });
  await response.arrayBuffer();
  return response.status;
}

async function makeContainer(): Promise<void> {
  const endMs = Date.now() + originWaitMs;
  for (;;) {
    try {
      const status = await put(`/${container}`, "?restype=container", {}, new Uint8Array());
      if (status === 201 || status === 409) return;
      throw new Error(`Cannot make container "${container}": the origin answers ${status}`);
    } catch (thrown) {
      if (!(thrown instanceof TypeError) || Date.now() > endMs) throw thrown;
      await sleep(250);
    }
  }
}

async function putObject(): Promise<void> {
  const body = new Uint8Array(objectBytes);
  for (let index = 0; index < body.length; index += 1) body[index] = (index * 31 + (index >> 12)) & 255;
  const headers = { "x-ms-blob-type": "BlockBlob", "if-none-match": "*" };
  const status = await put(`/${container}/weights.bin`, "", headers, body);
  if (status !== 201 && status !== 409) {
    throw new Error(`Cannot put "weights.bin" into the origin: it answers ${status}`);
  }
}

makeCertificates();
await makeContainer();
await putObject();
process.stdout.write(
  `Prepared ${replicas.length} certificates, and ${container}/weights.bin at the origin\n`,
);
