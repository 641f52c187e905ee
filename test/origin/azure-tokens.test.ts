/**
 * Tokens for Azure on loopback, from a chain in the test's hand, a managed identity and a workload identity, while they
 * are replaced, expire and are denied early. No read fails, with a single attempt each.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { type TokenCredential, WorkloadIdentityCredential } from "@azure/identity";
import { AzureBlobOrigin } from "../../src/origin/azure-blob-origin.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { bytesOf } from "../support/http-get.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { TokenService } from "../support/rotating-keys.ts";
import { until } from "../support/until.ts";

const environment = { ...process.env };
const signal = new AbortController().signal;
const certificate = selfSignedCertificate();
const body = Buffer.from("bytes");
const range = {
  bucket: "data",
  key: "a",
  etag: "e1",
  objectSizeBytes: body.length,
  offset: 0,
  lengthBytes: body.length,
};

let clock: FakeClock;
let blobs: Server;
/** What the blob service takes. */
let valid: Set<string>;
let statuses: number[];

beforeEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith("AZURE_")) delete process.env[name];
  clock = new FakeClock(Date.now());
  valid = new Set();
  statuses = [];
  blobs = createServer(certificate, (request, response) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const status = valid.has(token)
      ? request.method === "GET" && !request.url?.includes("comp=list")
        ? 206
        : 200
      : 401;
    statuses.push(status);
    if (status === 401) {
      response.writeHead(401, { "x-ms-error-code": "InvalidAuthenticationInfo" }).end();
    } else if (request.url?.includes("comp=list")) {
      response.end("<EnumerationResults><Blobs></Blobs><NextMarker/></EnumerationResults>");
    } else {
      const headers = {
        etag: '"e1"',
        "content-length": body.length,
        "x-ms-blob-type": "BlockBlob",
        "content-range": `bytes 0-4/5`,
      };
      response.writeHead(status, headers).end(request.method === "GET" ? body : undefined);
    }
  });
  await new Promise<void>((resolve) => void blobs.listen(0, "127.0.0.1", resolve));
});
afterEach(() => {
  blobs.close();
  blobs.closeAllConnections();
  process.env = { ...environment };
});

function originOf(credential?: () => Promise<TokenCredential>): AzureBlobOrigin {
  return new AzureBlobOrigin({
    id: "test",
    account: "account",
    endpoint: `https://127.0.0.1:${(blobs.address() as AddressInfo).port}/account`,
    credential,
    tls: { ca: certificate.cert },
    connectTimeoutMs: 5000,
    attemptTimeoutMs: 5000,
    stallTimeoutMs: 5000,
    connectionsIdleMax: 32,
    clock,
  });
}

async function readAll(origin: AzureBlobOrigin, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async () => {
      const received = Buffer.alloc(body.length);
      let at = 0;
      const sink = { space: () => received.subarray(at), advance: (bytes: number) => void (at += bytes) };
      await origin.read(range, sink, signal);
      assert.ok(received.equals(body));
    }),
  );
}

function denials(): number {
  return statuses.filter((status) => status === 401).length;
}

/** Chains that keep their token, as those of the SDK do. */
function chains() {
  const made: string[] = [];
  const make = (): Promise<TokenCredential> => {
    const token = `token-${made.length + 1}`;
    made.push(token);
    const expiresOnTimestamp = clock.now() + 3_600_000;
    return Promise.resolve({ getToken: () => Promise.resolve({ token, expiresOnTimestamp }) });
  };
  return { made, make };
}

test("AzureBlobOrigin: a token that is denied early is replaced by that of a new chain, and fails no reader", async () => {
  const { made, make } = chains();
  const origin = originOf(make);
  try {
    valid.add("token-1");
    await readAll(origin, 20);
    assert.deepEqual([made.length, denials()], [1, 0]);
    valid.clear();
    valid.add("token-2");
    await readAll(origin, 20);
    assert.equal(made.length, 2, "all readers that were denied share one renewal");
    assert.ok(denials() <= 20, "each reader is denied once at most");
    valid.clear();
    valid.add("token-3");
    await clock.advance(11_000);
    const request = { prefix: "", delimiter: "", maxKeys: 10, continuationToken: "", startAfter: "" };
    await origin.list({ bucket: "data", ...request }, signal);
    const head = await origin.head({ bucket: "data", key: "a" }, signal);
    assert.equal(head?.etag, "e1");
    assert.equal(made.length, 3);
  } finally {
    origin.close();
  }
});

test("AzureBlobOrigin: what is denied with each token is origin_denied, and asks for a token once in ten seconds", async () => {
  const { made, make } = chains();
  const origin = originOf(make);
  try {
    for (let count = 0; count < 5; count += 1) {
      await rejectsWith("origin_denied", origin.head({ bucket: "data", key: "a" }, signal));
    }
    assert.equal(made.length, 2);
    await clock.advance(11_000);
    await rejectsWith("origin_denied", origin.head({ bucket: "data", key: "a" }, signal));
    assert.equal(made.length, 3);
  } finally {
    origin.close();
  }
});

test("managed identity (IMDS): a token that is replaced and expires fails no reader", async () => {
  let given = 0;
  const service = await TokenService.start((request) => {
    if (request.headers["metadata"] !== "true") return [400, "{}"];
    given += 1;
    valid.add(`managed-${given}`);
    // Less than the five minutes before the end in which the SDK asks anew.
    return [
      200,
      JSON.stringify({
        access_token: `managed-${given}`,
        expires_in: 200,
        token_type: "Bearer",
        resource: "r",
      }),
    ];
  });
  process.env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = service.url;
  process.env["AZURE_TOKEN_CREDENTIALS"] = "ManagedIdentityCredential";
  const origin = originOf();
  try {
    await readAll(origin, 20);
    assert.equal(given, 1, "all readers share the first token");
    for (const round of [2, 3, 4]) {
      await clock.advance(31_000);
      await readAll(origin, 20);
      await until(() => given === round);
      valid.delete(`managed-${round - 1}`);
    }
    await readAll(origin, 20);
    assert.equal(denials(), 0, "a token is replaced before it expires");
  } finally {
    origin.close();
    service.stop();
  }
});

test("workload identity: the token and the file that it is made of are replaced, and fail no reader", async () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-test-"));
  const tokenFilePath = join(folder, "federated");
  writeFileSync(tokenFilePath, "assertion-1");
  let [given, assertions] = [0, 1];
  const trusted = getCACertificates("default");
  setDefaultCACertificates([...trusted, certificate.cert]);
  const authority = createServer(certificate, (request, response) => {
    void bytesOf(request).then((sent) => {
      const host = `https://127.0.0.1:${(authority.address() as AddressInfo).port}/tenant`;
      response.setHeader("content-type", "application/json");
      if (request.method === "GET") {
        const endpoints = {
          authorization_endpoint: `${host}/a`,
          token_endpoint: `${host}/oauth2/v2.0/token`,
          jwks_uri: `${host}/k`,
        };
        response.end(JSON.stringify({ issuer: `${host}/v2.0`, ...endpoints }));
        return;
      }
      const form = new URLSearchParams(sent.toString());
      if (form.get("client_assertion") !== `assertion-${assertions}`) {
        response.writeHead(401).end(JSON.stringify({ error: "invalid_client", error_description: "old" }));
        return;
      }
      given += 1;
      valid.add(`workload-${given}`);
      response.end(
        JSON.stringify({ access_token: `workload-${given}`, expires_in: 3600, token_type: "Bearer" }),
      );
    });
  });
  await new Promise<void>((resolve) => void authority.listen(0, "127.0.0.1", resolve));
  const authorityHost = `https://127.0.0.1:${(authority.address() as AddressInfo).port}`;
  const make = (): Promise<TokenCredential> =>
    Promise.resolve(
      new WorkloadIdentityCredential({
        tenantId: "tenant",
        clientId: "client",
        tokenFilePath,
        authorityHost,
        disableInstanceDiscovery: true,
      }),
    );
  const origin = originOf(make);
  try {
    await readAll(origin, 20);
    assert.deepEqual([given, denials()], [1, 0]);
    // Both are replaced at once: the file is read again, although the SDK keeps it for five minutes.
    valid.clear();
    assertions = 2;
    writeFileSync(tokenFilePath, "assertion-2");
    await readAll(origin, 20);
    assert.equal(given, 2);
    assert.ok(denials() <= 20, "each reader is denied once at most");
  } finally {
    origin.close();
    authority.close();
    authority.closeAllConnections();
    setDefaultCACertificates(trusted);
    rmSync(folder, { recursive: true });
  }
});
