/**
 * Checks of `server.auth` and its files. A replica that cannot authenticate clients as it is asked to does not start: it
 * would serve nobody, or everybody.
 */
import { accessKeysFault, readAccessKeys } from "./access-keys.ts";
import { type Fault, quoted, unreadable } from "./fault.ts";
import type { Settings } from "./schema.ts";
import type { ReadText } from "./secret.ts";
import { opsTokenOf, tokenKeysOf } from "./token-keys.ts";

export function checkAuth(settings: Settings, readText: ReadText | undefined, faults: Fault[]): void {
  checkOpsListener(settings, readText, faults);
  const { auth } = settings.server;
  if (!auth.enabled) return;
  checkModes(settings, faults);
  checkOriginDecides(settings, faults);
  if (readText === undefined) return;
  checkAccessKeysFile(settings, readText, faults);
  checkBearerSecretFile(settings, readText, faults);
}

function checkModes({ server: { auth, tls } }: Settings, faults: Fault[]): void {
  const { mode, accessKeysFile, bearerSecretFile } = auth;
  if (mode.includes("mtls") && tls?.clientCaFile === undefined) {
    const message = "required, because server.auth.mode has mtls";
    faults.push({ path: "server.tls.client_ca_file", message });
  }
  const needsKeys = mode.find((each) => each !== "bearer");
  if (needsKeys !== undefined && accessKeysFile === undefined) {
    const message = `required, because server.auth.mode has ${needsKeys}`;
    faults.push({ path: "server.auth.access_keys_file", message });
  }
  if (mode.includes("bearer") && bearerSecretFile === undefined) {
    const message = "required, because server.auth.mode has bearer";
    faults.push({ path: "server.auth.bearer_secret_file", message });
  }
}

/** Only an S3 origin can be asked with a client's key, and only SigV4 names such a key. */
function checkOriginDecides({ server, origin, origins }: Settings, faults: Fault[]): void {
  const { authorize, mode } = server.auth;
  if (authorize !== "origin") return;
  const path = "server.auth.authorize";
  const other = (origin ? [origin] : origins).find(({ driver }) => driver !== "awss3");
  if (other) {
    const message = `expected keys, because origin ${quoted(other.id)} has the driver ${other.driver}, which cannot be asked with a client's key`;
    faults.push({ path, message });
  }
  if (mode.some((each) => each !== "sigv4")) {
    const message =
      "expected keys, because server.auth.mode has more than sigv4, and only an access key can be known to the origin";
    faults.push({ path, message });
  }
}

function checkAccessKeysFile({ server: { auth } }: Settings, readText: ReadText, faults: Fault[]): void {
  const { accessKeysFile: path, authorize } = auth;
  if (path === undefined) return;
  const found: Fault[] = [];
  readAccessKeys({ path, readText, bucketsRequired: authorize === "keys" }, found);
  if (found.length > 0)
    faults.push({ path: "server.auth.access_keys_file", message: accessKeysFault(path, found) });
}

function checkBearerSecretFile({ server: { auth } }: Settings, readText: ReadText, faults: Fault[]): void {
  const { bearerSecretFile: file } = auth;
  if (file !== undefined) checkFile("server.auth.bearer_secret_file", file, tokenKeysOf, readText, faults);
}

function checkOpsListener({ server }: Settings, readText: ReadText | undefined, faults: Fault[]): void {
  const { opsTokenFile: file, opsTokenFor, opsTls, tls } = server;
  if (file !== undefined && readText) checkFile("server.ops_token_file", file, opsTokenOf, readText, faults);
  if (file === undefined && opsTokenFor === "all") {
    faults.push({ path: "server.ops_token_file", message: "required, because server.ops_token_for is all" });
  }
  if (opsTls && tls === undefined) {
    const message = "expected false, because server.tls is not set and holds its certificate";
    faults.push({ path: "server.ops_tls", message });
  }
}

/** Whether `read` accepts what the file holds. */
function checkFile(
  path: string,
  file: string,
  read: (text: string) => object | string,
  readText: ReadText,
  faults: Fault[],
): void {
  try {
    const found = read(readText(file));
    if (typeof found === "object" && "expected" in found)
      faults.push({ path, message: `expected ${String(found.expected)} in ${quoted(file)}` });
  } catch (thrown) {
    faults.push({ path, message: unreadable(file, thrown) });
  }
}
