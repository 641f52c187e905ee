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

test("HandshakeFailures: counts each, and logs the first of a reason in a minute", async () => {
  const clock = new FakeClock();
  const logger = new RecordedLogger();
  const failures = new HandshakeFailures(clock, logger);
  for (let count = 0; count < 3; count += 1) failures.count("expired", {}, "Rejected");
  failures.count("timeout", {}, "Rejected");
  assert.equal(logger.count("warn"), 2);
  await clock.advance(60_000);
  failures.count("expired", {}, "Rejected");
  assert.equal(logger.count("warn"), 3);
  assert.equal(failures.counts.expired, 4);
  assert.equal(failures.counts.timeout, 1);
});
