import assert from "node:assert/strict";
import { test } from "node:test";
import { HandshakeFailures, handshakeFailureReason } from "../../../src/mesh/session/handshake-failures.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

test("handshakeFailureReason: depends on the code, and other codes of OpenSSL are protocol failures", () => {
  assert.equal(handshakeFailureReason("CERT_HAS_EXPIRED"), "expired");
  assert.equal(handshakeFailureReason("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "unknown_authority");
  assert.equal(handshakeFailureReason("ERR_SSL_WRONG_VERSION_NUMBER"), "protocol");
  assert.equal(handshakeFailureReason("ECONNRESET"), "broken");
  assert.equal(handshakeFailureReason(undefined), "broken");
});

test("HandshakeFailures: counts each, and logs the first of a peer and a reason in a minute", async () => {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const failures = new HandshakeFailures(clock, logger);
  for (let count = 0; count < 3; count += 1) failures.count("expired", "a", {}, "Rejected");
  failures.count("expired", "b", {}, "Rejected");
  failures.count("timeout", "a", {}, "Rejected");
  assert.deepEqual([logger.count("warn"), logger.count("info")], [2, 1]);
  await clock.advance(60_000);
  failures.count("expired", "a", {}, "Rejected");
  assert.equal(logger.count("warn"), 3);
  assert.equal(failures.counts.expired, 5);
  assert.equal(failures.counts.timeout, 1);
});

test("HandshakeFailures: a peer that does not listen yet hides no peer that crashed", async () => {
  const logger = new RecordedLogger();
  const failures = new HandshakeFailures(new FakeClock(), logger);
  failures.count("broken", "a", {}, "Cannot connect to a");
  failures.count("broken", "b", {}, "Cannot connect to b");
  failures.succeeded("a");
  failures.count("broken", "a", {}, "Cannot connect to a");
  assert.deepEqual(
    logger.events.map(({ level, message }) => `${level} ${message}`),
    ["info Cannot connect to a", "info Cannot connect to b", "warn Cannot connect to a"],
  );
});

test("HandshakeFailures: a peer that has not answered within the first minute is a warning", async () => {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const failures = new HandshakeFailures(clock, logger);
  await clock.advance(60_000);
  failures.count("timeout", "a", {}, "Cannot connect to a");
  assert.equal(logger.count("warn"), 1);
});

test("HandshakeFailures: a hundred peers are thirty lines a minute, and three and a number in the notice", () => {
  const logger = new RecordedLogger();
  const failures = new HandshakeFailures(new FakeClock(), logger);
  for (let peer = 0; peer < 100; peer += 1) failures.count("expired", `p${peer}`, {}, "Rejected");
  assert.equal(logger.count("warn"), 30);
  assert.match(failures.notice ?? "", /^(?:no TLS with p\d+: certificate \(expired\); ){3}and 61 more$/);
});

test("HandshakeFailures: the notice ends when the peer connects, or is not seen for two minutes", async () => {
  const clock = new FakeClock();
  const failures = new HandshakeFailures(clock, new RecordedLogger());
  failures.count("broken", "c", {}, "Rejected");
  assert.equal(failures.notice, null);
  failures.count("unknown_authority", "a", {}, "Rejected");
  failures.count("unknown_authority", "b", {}, "Rejected");
  failures.succeeded("b");
  assert.equal(failures.notice, "no TLS with a: certificate (unknown_authority)");
  await clock.advance(120_000);
  assert.equal(failures.notice, null);
});
