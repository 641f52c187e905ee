import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { loggable, loggableFields } from "../../src/ops/loggable.ts";

test("loggableFields: secrets are hidden at any depth and in any spelling", () => {
  const secrets = [
    "secret",
    "password",
    "Authorization",
    "accessKey",
    "accessKeyId",
    "access_key",
    "secretAccessKey",
    "accountKey",
    "sessionToken",
    "x-amz-security-token",
    "X-Amz-Signature",
    "client_secret",
    "privateKey",
  ];
  for (const name of secrets) {
    assert.deepEqual(loggableFields({ [name]: "hush" }), { [name]: "[hidden]" });
    assert.doesNotMatch(JSON.stringify(loggableFields({ a: [{ b: { [name]: "hush" } }] })), /hush/);
  }
});

test("loggableFields: what only sounds like a secret is printed", () => {
  const fields = {
    continuationToken: "abc",
    access_keys_file: "/etc/orca/keys",
    keyFile: "/tls.key",
    key: "dir/object",
    objectKey: "dir/object",
  };
  assert.deepEqual(loggableFields(fields), fields);
  assert.deepEqual(loggableFields({ secret: undefined, password: null }), {
    secret: undefined,
    password: null,
  });
});

test("loggable: an OrcaError shows code, source, message and its chain of causes", () => {
  const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" });
  const error = new OrcaError("origin_unavailable", "origin", 'Cannot read "b/k"', { cause: reset });
  assert.deepEqual(loggable(error), {
    type: "OrcaError",
    code: "origin_unavailable",
    source: "origin",
    message: 'Cannot read "b/k"',
    cause: { type: "Error", code: "ECONNRESET", message: "read ECONNRESET" },
  });
});

test("loggable: an error without a code shows its stack", () => {
  const error = new TypeError("x is not a function");
  assert.deepEqual(loggable(error), {
    type: "TypeError",
    message: "x is not a function",
    stack: error.stack,
  });
});

test("loggable: the request that an SDK's error carries is not printed", () => {
  const error = Object.assign(new Error("denied"), {
    code: "AuthenticationFailed",
    statusCode: 403,
    request: { headers: { date: "today", "x-ms-date": "hush" } },
  });
  assert.deepEqual(loggable(error), {
    type: "Error",
    code: "AuthenticationFailed",
    statusCode: 403,
    message: "denied",
  });
});

test("loggable: cycles, depth and bytes end in a word", () => {
  const error = Object.assign(new Error("round"), { code: "E" });
  error.cause = error;
  const loop: { self?: object } = {};
  loop.self = loop;
  const printed = JSON.stringify([loggable(error), loggable(loop), loggable({ chunk: Buffer.alloc(1000) })]);
  assert.match(printed, /too deep/);
  assert.match(printed, /"\[1000 bytes\]"/);
  assert.ok(printed.length < 2000);
});

test("loggable: what knows its own JSON is asked, and still censored", () => {
  assert.equal(loggable(new Date(0)), "1970-01-01T00:00:00.000Z");
  assert.deepEqual(loggable({ toJSON: () => ({ password: "hush" }) }), { password: "[hidden]" });
});
