/** A whole object as a client reads that has a connection of its own, so that any thread may serve it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import { assertPattern } from "./pattern.ts";
import { type ReplicaFixture, testBucket } from "./replica-fixture.ts";

export interface PatternObject {
  readonly key: string;
  readonly seed: number;
  readonly sizeBytes: number;
}

/** Checks each byte. Returns what the answer says of where its bytes came from. */
export async function readAlone(
  { endpoint }: ReplicaFixture,
  { key, seed, sizeBytes }: PatternObject,
): Promise<string> {
  const request = get(`${endpoint}/${testBucket}/${key}`, { agent: false });
  const [response] = await once(request, "response");
  const bytes = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>));
  assert.equal(bytes.length, sizeBytes);
  assertPattern(bytes, seed, 0);
  return String(response.headers["cache-status"]);
}
