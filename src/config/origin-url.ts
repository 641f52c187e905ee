/**
 * An origin as one URL, for `orca serve --origin`: `s3://bucket/prefix`, `azblob://account/container/prefix` or
 * `file:///dir`. It becomes the tree that a file would hold under `origin`, and is checked like that.
 */
import { createHash } from "node:crypto";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { OrcaError } from "../base/orca-error.ts";
import { didYouMean } from "./did-you-mean.ts";
import type { SettingsTree } from "./load.ts";

const idLengthMax = 64;

/**
 * The settings of `origin` for the URL `text`. Settings without a place in a URL are in its query: `endpoint`, `region`
 * and `path_style` for S3, `endpoint` for Azure Blob.
 * @throws OrcaError `config_invalid`
 */
export function originFromUrl(text: string): SettingsTree {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.username !== "" || url.password !== "" || url.hash !== "")) {
    // It may hold a password, so it is not quoted.
    throw invalid("the origin's URL", "expected one without user, password or fragment");
  }
  switch (url?.protocol) {
    case "s3:":
      return s3Origin(url, text);
    case "azblob:":
      return azureBlobOrigin(url, text);
    case "file:":
      return fileOrigin(url, text);
    default:
      throw invalid(`"${text}"`, "expected s3://bucket, azblob://account/container or file:///dir");
  }
}

function s3Origin(url: URL, text: string): SettingsTree {
  const query = queryOf(url, text, ["endpoint", "region", "path_style", "use_path_style"]);
  const bucket = url.hostname;
  if (bucket === "" || url.port !== "")
    throw invalid(`"${text}"`, "expected s3://bucket or s3://bucket/prefix");
  const [, ...prefix] = segmentsOf(url, text);
  return {
    // The same bucket name at two endpoints means two buckets.
    id: originId(
      "awss3",
      query["endpoint"] === undefined ? bucket : `${bucket}-${shortHash(query["endpoint"])}`,
    ),
    driver: "awss3",
    awss3: {
      bucket,
      endpoint: query["endpoint"],
      region: query["region"],
      use_path_style: query["path_style"] ?? query["use_path_style"],
    },
    buckets: bucketsWithPrefix(bucket, prefix),
  };
}

function azureBlobOrigin(url: URL, text: string): SettingsTree {
  const query = queryOf(url, text, ["endpoint"]);
  const account = url.hostname;
  const [, container = "", ...prefix] = segmentsOf(url, text);
  if (account === "" || url.port !== "" || container === "") {
    throw invalid(`"${text}"`, "expected azblob://account/container or azblob://account/container/prefix");
  }
  return {
    id: originId("azureblob", `${account}-${container}`),
    driver: "azureblob",
    azureblob: { account, container, endpoint: query["endpoint"] },
    buckets: bucketsWithPrefix(container, prefix),
  };
}

function fileOrigin(url: URL, text: string): SettingsTree {
  queryOf(url, text, []);
  // In file://dir, "dir" is a host and the directory is /.
  if (url.hostname !== "") throw invalid(`"${text}"`, "expected three slashes, as in file:///dir");
  let root: string;
  try {
    root = resolve(fileURLToPath(url));
  } catch (cause) {
    throw invalid(`"${text}"`, "expected file:///dir", cause);
  }
  // Two directories of one name are two origins, although their files may have equal ETags.
  return { id: originId("file", `${basename(root)}-${shortHash(root)}`), driver: "file", file: { root } };
}

/** Segments of the path, the first one empty; a trailing slash is ignored. */
function segmentsOf(url: URL, text: string): string[] {
  try {
    return decodeURIComponent(url.pathname.replace(/\/$/, "")).split("/");
  } catch (cause) {
    throw invalid(`"${text}"`, "expected well-formed percent-encoding", cause);
  }
}

/** A prefix in a URL is a folder: `s3://bucket/logs` does not include `logs-old/`. */
function bucketsWithPrefix(bucket: string, prefix: readonly string[]): SettingsTree | undefined {
  return prefix.length === 0 ? undefined : { [bucket]: { bucket, prefix: `${prefix.join("/")}/` } };
}

function queryOf(url: URL, text: string, known: readonly string[]): Readonly<Record<string, string>> {
  for (const name of url.searchParams.keys()) {
    if (known.includes(name)) continue;
    const expected =
      known.length === 0 ? "expected no query" : `expected only ${known.join(", ")} in its query`;
    throw invalid(`"${text.replace(/\?.*/s, "")}"`, `${expected}, got "${name}"${didYouMean(name, known)}`);
  }
  return Object.fromEntries(url.searchParams);
}

/** `<driver>-<name>`. Characters that an id cannot hold are replaced, and a hash distinguishes names that become equal. */
function originId(driver: string, name: string): string {
  const id = `${driver}-${name}`;
  if (/^[\w.-]+$/.test(id) && id.length <= idLengthMax) return id;
  const end = `-${shortHash(id)}`;
  return id.replaceAll(/[^\w.-]/g, "_").slice(0, idLengthMax - end.length) + end;
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

function invalid(what: string, reason: string, cause?: unknown): OrcaError {
  return new OrcaError("config_invalid", "config", `Cannot use ${what} as an origin: ${reason}`, { cause });
}
