/** Sends a read to a server that speaks S3, and tells what of two answers differs. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { bytesOf } from "../../support/http-get.ts";
import { type ClientKey, signedHead } from "../../support/signed-get.ts";
import type { Read } from "./reads.ts";

export interface Server {
  readonly endpoint: string;
  /** The keys of those that have one. */
  readonly keys: Readonly<Partial<Record<Read["who"], ClientKey>>>;
}

/** Each thing that matters to a client, by name. What an answer does not have is not there. */
export type Answer = Readonly<Record<string, string>>;

export interface Difference {
  readonly what: string;
  readonly store: string;
  readonly orca: string;
}

const headersThatMatter =
  /^(?:content-(?:type|range|encoding|language|disposition)|etag|last-modified|accept-ranges|cache-control|expires|location|x-amz-(?:meta-.*|version-id|delete-marker|storage-class|mp-parts-count|checksum-.*|bucket-region|tagging-count))$/;
/** They differ in each answer. */
const ownElements = /<(RequestId|HostId|NextContinuationToken|ContinuationToken)>[^<]*/g;
const listEntry = /<(Contents|Version|DeleteMarker|CommonPrefixes|Bucket)>.*?<\/\1>/gs;

export async function answerTo(read: Read, server: Server): Promise<Answer> {
  try {
    const response = await send(read, server);
    return answerOf(response, await bytesOf(response));
  } catch {
    // A connection for each request, so that what is left of such an answer is not taken for the next one.
    return { status: "not HTTP" };
  }
}

/** Each page of a list, and how it continues by the server's own tokens. */
export async function* pagesOf(read: Read, server: Server): AsyncGenerator<Answer> {
  let token: string | undefined;
  do {
    const query = { ...read.query, ...(token !== undefined && { "continuation-token": token }) };
    const response = await send({ ...read, query }, server);
    const body = await bytesOf(response);
    yield answerOf(response, body);
    const [, next] = /<NextContinuationToken>([^<]+)</.exec(body.toString()) ?? [];
    token = next === undefined ? undefined : unescaped(next);
  } while (token !== undefined);
}

function unescaped(text: string): string {
  const characters: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replaceAll(/&(\w+);/g, (whole, name: string) => characters[name] ?? whole);
}

async function send(read: Read, { endpoint, keys }: Server): Promise<IncomingMessage> {
  const { host, hostname, port } = new URL(endpoint);
  const { method, query, headers } = read;
  const path = `/${[read.bucket, ...(read.key?.split("/") ?? [])].map(escaped).join("/")}`;
  const key = keys[read.who];
  const nobody = { accessKeyId: "nobody", secretAccessKey: "" };
  const signed = await signedHead(key ?? nobody, { method, host, path, query, headers, at: new Date() });
  const sent = request({
    host: hostname,
    port,
    agent: false,
    method,
    path: signed.target,
    headers: key ? signed.headers : { host, ...headers },
  });
  // A server may send more than it announced. The answer has been taken by then.
  sent.on("error", () => {});
  const [response] = (await once(sent.end(), "response")) as [IncomingMessage];
  return response;
}

function answerOf({ statusCode = 0, headers }: IncomingMessage, body: Buffer): Answer {
  const answer: Record<string, string> = { status: String(statusCode) };
  const text = body.subarray(0, 100).toString().startsWith("<?xml") ? body.toString() : undefined;
  if (statusCode >= 400) {
    const code = /<Code>(\w+)<\/Code>/.exec(text ?? "")?.[1];
    if (code !== undefined) answer["code"] = code;
    for (const name of ["content-range", "x-amz-delete-marker"]) {
      if (headers[name] !== undefined) answer[name] = String(headers[name]);
    }
    return answer;
  }
  for (const [name, value] of Object.entries(headers)) {
    if (headersThatMatter.test(name)) answer[name] = String(value);
  }
  if (text !== undefined) return { ...answer, ...elementsOf(text) };
  return {
    ...answer,
    "content-length": headers["content-length"] ?? "none",
    body: `${body.length} bytes, ${createHash("sha256").update(body).digest("hex").slice(0, 12)}`,
  };
}

/** Where the status differs, the rest has to. */
export function differencesOf(store: Answer, orca: Answer): Difference[] {
  const names = store["status"] === orca["status"] ? Object.keys({ ...store, ...orca }) : ["status"];
  return names
    .map((what) => ({ what, store: store[what] ?? "none", orca: orca[what] ?? "none" }))
    .filter((each) => each.store !== each.orca);
}

function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The elements of an answer. Those of a list's entries carry the number of the entry. */
function elementsOf(xml: string): Answer {
  const text = xml.replace(/^<\?xml[^>]*\?>/, "").replaceAll(ownElements, "<$1>");
  const elements: Record<string, string> = {};
  const take = (part: string, before: string): void => {
    for (const [, name = "", value = ""] of part.matchAll(/<(\w+)(?: [^>]*)?(?:>([^<]*)<\/\1>|\/>)/g)) {
      elements[`${before}<${name}>`] = value;
    }
  };
  take(text.replaceAll(listEntry, ""), "");
  const counts = new Map<string, number>();
  for (const [entry, kind = ""] of text.matchAll(listEntry)) {
    const number = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, number);
    take(entry, `<${kind}> ${number} `);
  }
  return elements;
}
