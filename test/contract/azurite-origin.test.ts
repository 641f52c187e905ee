/** The Azure Blob driver on Azurite, and what only Azure has: blobs that are no block blobs, and names it resolves. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { type AzureFixture, azureTraits, openAzureFixture } from "../support/azure-fixture.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { originContract } from "./origin.ts";

originContract("AzureBlobOrigin on Azurite", azureTraits, openAzureFixture);

suite("AzureBlobOrigin on Azurite, beyond the contract", () => {
  const never = new AbortController().signal;
  let fixture: AzureFixture;
  before(async () => {
    fixture = await openAzureFixture();
    await fixture.put("block", Buffer.from("bytes"), {});
    await fixture.container.getAppendBlobClient("append").create();
    await fixture.container.getPageBlobClient("page").create(512);
  });
  after(() => fixture.close());

  for (const key of ["append", "page"]) {
    test(`head, read: the ${key} blob, which may change in place, is origin_unsupported`, async () => {
      const { origin, bucket, container } = fixture;
      const { etag = "" } = await container.getBlobClient(key).getProperties();
      const range = {
        bucket,
        key,
        etag: etag.replaceAll('"', ""),
        objectSizeBytes: 512,
        offset: 0,
        lengthBytes: 1,
      };
      const sink = new MemorySink(1);
      await assert.rejects(origin.head({ bucket, key }, never), isUnsupported);
      if (key === "page") await assert.rejects(origin.read(range, sink, never), isUnsupported);
      assert.equal(sink.receivedBytes, 0);
    });
  }

  test("list: only block blobs are objects", async () => {
    const { origin, bucket } = fixture;
    const request = {
      bucket,
      prefix: "",
      delimiter: "",
      maxKeys: 1000,
      continuationToken: "",
      startAfter: "",
    };
    const page = await origin.list(request, never);
    assert.deepEqual(
      page.objects.map(({ key }) => key),
      ["block"],
    );
  });

  test("list: a common prefix in which startAfter lies is kept only where a key is after it", async () => {
    const { origin, bucket } = fixture;
    for (const key of ["in/a/1", "in/a/2", "in/b"]) await fixture.put(key, Buffer.alloc(0), {});
    for (const [startAfter, commonPrefixes] of [
      ["in/a/1", ["in/a/"]],
      ["in/a/2", []],
    ] as const) {
      const asked = { bucket, prefix: "in/", delimiter: "/", maxKeys: 10, continuationToken: "", startAfter };
      const page = await origin.list(asked, never);
      assert.deepEqual(page.commonPrefixes, commonPrefixes, startAfter);
      assert.deepEqual(
        page.objects.map(({ key }) => key),
        ["in/b"],
      );
    }
    for (const key of ["in/a/1", "in/a/2", "in/b"]) await fixture.delete(key);
  });

  test("head: a key that Azure would resolve to another blob, or to another container's, is a missing key", async () => {
    const { origin, bucket } = fixture;
    for (const key of ["x/../block", "./block", "../contract/block", "..\\contract\\block"]) {
      assert.equal(await origin.head({ bucket, key }, never), null, key);
    }
  });
});

function isUnsupported(thrown: unknown): boolean {
  return thrown instanceof OrcaError && thrown.code === "origin_unsupported";
}
