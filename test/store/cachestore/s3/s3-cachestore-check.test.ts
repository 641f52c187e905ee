import assert from "node:assert/strict";
import { afterEach, suite, test } from "node:test";
import type { OrcaError } from "../../../../src/base/orca-error.ts";
import type { S3CachestoreOptions } from "../../../../src/store/cachestore/s3/s3-cachestore.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { freePort } from "../../../support/process.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";
import type { Fault, S3Operation } from "../../../support/s3-fault.ts";
import { S3Server, type S3ServerOptions } from "../../../support/s3-server.ts";
import { S3CachestoreFixture } from "./s3-cachestore-fixture.ts";

const credentials = { accessKey: "orcatest", secretKey: "orcatestsecret" };

/** Asserts that the self-test has deleted all its objects. */
function assertEmpty(server: S3Server): void {
  const names = new Set(server.requests.filter(({ operation }) => operation === "PUT").map(({ key }) => key));
  for (const name of names) {
    assert.match(name, /^_orca-selftest\/[0-9a-f-]{36}$/);
    assert.equal(server.get("chunks", name), undefined);
  }
}

suite("checkCachestoreBucket", () => {
  const opened: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0).toReversed()) await each.close();
  });

  async function open(
    options: S3ServerOptions = {},
  ): Promise<{ server: S3Server; fixture: S3CachestoreFixture }> {
    const server = await S3Server.start({ credentials, ...options });
    opened.push({ close: () => server.stop() });
    const fixture = await S3CachestoreFixture.open({ endpoint: server.endpoint, ...credentials });
    opened.push(fixture);
    return { server, fixture };
  }

  async function refusal(
    overrides: Partial<S3CachestoreOptions>,
    options: S3ServerOptions = {},
    prepare: (server: S3Server) => void = () => {},
  ): Promise<OrcaError> {
    const { server, fixture } = await open(options);
    prepare(server);
    const store = fixture.unchecked(overrides);
    const error = await rejectsWith("config_invalid", store.check());
    assert.equal(store.putPolicy, undefined);
    assert.match(error.message, /^Cannot use bucket "[a-z]+" at http:.* as cachestore: .*; .*$/);
    return error;
  }

  for (const [conditionalPuts, commit, putPolicy, puts] of [
    ["honoured", "auto", "conditional", ["*", "*"]],
    ["honoured", "conditional", "conditional", ["*", "*"]],
    ["honoured", "stat", "stat", [undefined, undefined]],
    ["ignored", "auto", "stat", ["*", "*"]],
    ["ignored", "stat", "stat", [undefined, undefined]],
    ["refused", "auto", "stat", ["*", undefined, undefined]],
    ["refused", "stat", "stat", [undefined, undefined]],
  ] as const) {
    test(`conditions ${conditionalPuts}, commit: ${commit} puts by ${putPolicy}`, async () => {
      const { server, fixture } = await open({ conditionalPuts });
      const store = fixture.unchecked({ commit });
      await store.check();
      assert.equal(store.putPolicy, putPolicy);
      assert.deepEqual(
        server.requests.filter(({ operation }) => operation === "PUT").map(({ ifNoneMatch }) => ifNoneMatch),
        puts,
      );
      assertEmpty(server);
      assert.deepEqual(
        fixture.logger.events.map(({ level, fields }) => [level, fields]),
        [["info", { bucket: "chunks", commit: putPolicy }]],
      );
    });
  }

  for (const conditionalPuts of ["ignored", "refused"] as const) {
    test(`conditions ${conditionalPuts}, commit: conditional fails the check`, async () => {
      const { message } = await refusal({ commit: "conditional" }, { conditionalPuts });
      assert.match(message, /does not honour If-None-Match; set cachestore\.s3\.commit to auto or stat/);
    });
  }

  for (const versioning of ["Enabled", "Suspended"] as const) {
    test(`versioning ${versioning} fails the check`, async () => {
      const { message } = await refusal({}, { versioning });
      assert.match(
        message,
        new RegExp(`its versioning is ${versioning}; use a bucket that never had versioning`),
      );
    });
  }

  test("a missing bucket fails the check", async () => {
    const { message } = await refusal({ bucket: "nowhere" });
    assert.match(
      message,
      /it does not exist \(the store answered 404\); create it or check cachestore\.s3\.bucket/,
    );
  });

  test("wrong credentials fail the check", async () => {
    const { message } = await refusal({ credentials: { accessKeyId: "orcatest", secretAccessKey: "wrong" } });
    assert.match(
      message,
      /the store answered 403\); check the credentials \(ORCA_CACHESTORE_S3_ACCESS_KEY, ORCA_CACHESTORE_S3_SECRET_KEY\)/,
    );
  });

  test("no credentials fail the check, and the message names the variables", async () => {
    const variables = [
      "AWS_EC2_METADATA_DISABLED",
      "AWS_CONFIG_FILE",
      "AWS_SHARED_CREDENTIALS_FILE",
    ] as const;
    const before = variables.map((name) => [name, process.env[name]] as const);
    try {
      for (const name of variables) process.env[name] = name.endsWith("FILE") ? "/dev/null" : "true";
      const { message } = await refusal({ credentials: undefined });
      assert.match(
        message,
        /cachestore: there are no credentials for it; set ORCA_CACHESTORE_S3_ACCESS_KEY and ORCA_CACHESTORE_S3_SECRET_KEY, or/,
      );
    } finally {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  test("https to a store that speaks plain HTTP fails the check in plain words", async () => {
    const { server, fixture } = await open();
    const { host } = new URL(server.endpoint);
    const store = fixture.unchecked({ endpoint: `https://${host}` });
    const { message } = await rejectsWith("config_invalid", store.check());
    assert.equal(
      message,
      `Cannot use bucket "chunks" at https://${host} as cachestore: it speaks plain HTTP, and cachestore.s3.endpoint says https; write http://${host} there`,
    );
  });

  test("an unreachable store fails the check", async () => {
    const { message } = await refusal({ endpoint: `http://127.0.0.1:${await freePort()}` });
    assert.match(message, /Orca cannot reach it \(.*ECONNREFUSED.*\); check cachestore\.s3\.endpoint/);
  });

  test("a store that hangs fails the check in time", async () => {
    const { server } = await open();
    const clock = new FakeClock();
    const fixture = await S3CachestoreFixture.open(
      { endpoint: server.endpoint, ...credentials },
      "other",
      clock,
    );
    opened.push(fixture);
    const gate = server.hold("HEAD_BUCKET", "*");
    const refused = rejectsWith("config_invalid", fixture.unchecked({ attemptTimeoutMs: 500 }).check());
    await gate.reached;
    await clock.advance(500);
    assert.match((await refused).message, /no answer within 500 ms/);
    gate.release();
  });

  test("a store without versioning passes", async () => {
    const { server, fixture } = await open();
    server.faults.next("GET_VERSIONING", "*", { status: 501 });
    await fixture.store();
  });

  for (const [name, operation, faults, reason] of [
    [
      "may not ask for the versioning",
      "GET_VERSIONING",
      [{ status: 403 }],
      /ask for its versioning \(the store answered 403\)/,
    ],
    ["may not write", "PUT", [{ status: 403 }], /self-test failed \(.*answered 403\); see to it/],
    ["may not read", "GET", [{ status: 403 }], /self-test failed \(.*answered 403\)/],
    ["may not delete", "DELETE", [{ status: 403 }], /self-test failed \(.*answered 403\)/],
    [
      "receives 403 for an absent object",
      "HEAD",
      [{ status: 403 }],
      /answered 403\); see to it that Orca may list it/,
    ],
    ["finds it full", "PUT", [{ status: 507 }], /it is full; make room/],
    [
      "reads a shorter object",
      "GET",
      [{ headers: { "content-range": "bytes 0-9/10" } }],
      /an object that it had stored is missized/,
    ],
    ["reads no metadata", "GET", [{ headers: { "x-amz-meta-orca-crc32": null } }], /loses the metadata/],
    [
      "reads other checksums",
      "GET",
      [{ headers: { "x-amz-meta-orca-crc32": "AAAAAA==" } }],
      /an object that it had stored is damaged/,
    ],
    ["finds a deleted object", "HEAD", [{ status: 200 }], /still has an object that was deleted/],
  ] as const satisfies readonly (readonly [string, S3Operation, readonly Fault[], RegExp])[]) {
    test(`a store where Orca ${name} fails the check`, async () => {
      const { message } = await refusal({}, {}, (server) => server.faults.next(operation, "*", ...faults));
      assert.match(message, reason);
    });
  }

  test("a self-test that fails half-way deletes its object", async () => {
    const { server, fixture } = await open();
    server.faults.next("GET", "*", { status: 500 });
    await rejectsWith("config_invalid", fixture.unchecked().check());
    assert.equal(server.count("DELETE"), 1);
    assertEmpty(server);
  });
});
