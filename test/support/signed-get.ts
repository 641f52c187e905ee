/**
 * Requests as AWS's own library signs them, for tests of what Orca verifies: it shares no code with Orca's verifier.
 */
import { Hash } from "@smithy/hash-node";
import { SignatureV4 } from "@smithy/signature-v4";

export interface ClientKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface ToSign {
  readonly method?: string;
  /** Host and port, as the client sends them. */
  readonly host: string;
  /** Encoded, without a query. */
  readonly path: string;
  readonly query?: Record<string, string | string[]>;
  readonly headers?: Record<string, string>;
  readonly at: Date;
  readonly region?: string;
  readonly payloadHash?: string;
}

export interface SignedHead {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: Record<string, string>;
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

function signerOf(key: ClientKey, region = "us-east-1"): SignatureV4 {
  return new SignatureV4({
    service: "s3",
    region,
    credentials: key,
    sha256: Hash.bind(null, "sha256"),
    uriEscapePath: false,
    applyChecksum: false,
  });
}

/** Signed in its headers. */
export async function signedHead(key: ClientKey, request: ToSign): Promise<SignedHead> {
  const { method = "GET", host, path, query = {}, at, region, payloadHash = emptyHash } = request;
  const headers = { host, "x-amz-content-sha256": payloadHash, ...request.headers };
  const signed = await signerOf(key, region).sign(
    { method, protocol: "http:", hostname: host, path, query, headers },
    { signingDate: at },
  );
  return { method, target: targetOf(path, query), headers: signed.headers };
}

/** Signed in its query. */
export async function presignedHead(
  key: ClientKey,
  request: ToSign & { readonly expiresIn: number },
): Promise<SignedHead> {
  const { method = "GET", host, path, query = {}, at, region, headers = {}, expiresIn } = request;
  const signed = await signerOf(key, region).presign(
    {
      method,
      protocol: "http:",
      hostname: host,
      path,
      query,
      headers: { host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", ...headers },
    },
    { signingDate: at, expiresIn, unhoistableHeaders: new Set(Object.keys(headers)) },
  );
  const { "x-amz-content-sha256": _, ...sent } = signed.headers;
  return { method, target: targetOf(path, signed.query ?? {}), headers: { host, ...sent } };
}

function targetOf(path: string, query: Readonly<Record<string, string | string[] | null>>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map(
      (each) => `${encodeURIComponent(name)}=${encodeURIComponent(each ?? "")}`,
    ),
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join("&")}`;
}
