/**
 * Generated LISTs through Orca over Azurite, compared with S3's rules. Azure has rules of its own (no start-after, no
 * delimiters of several characters, its own pages), so all that a client sees of S3's is Orca's work.
 */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { type Azurite, startAzurite } from "../support/azurite.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { type AnsweredList, answerTo } from "./lists/answered-list.ts";
import { keySet, listQueries } from "./lists/key-sets.ts";
import { answeredMaxKeys, inOrder, type ListQuery, modelPage } from "./lists/list-model.ts";

interface Stored {
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModified: string;
}

interface Bucket {
  readonly name: string;
  readonly seed: number;
  readonly keys: readonly string[];
  readonly stored: ReadonlyMap<string, Stored>;
}

/** Azurite takes the longer for a list, the more blobs a container has. */
const sets = [
  { name: "few", seed: 1, count: 12, walks: 120 },
  { name: "some", seed: 2, count: 60, walks: 100 },
  { name: "more", seed: 3, count: 250, walks: 60 },
  { name: "many", seed: 4, count: 1050, walks: 20 },
];
const requestsMin = 300;
/** A walk that is longer ends here. */
const pagesMax = 12;

suite("lists over Azurite", () => {
  let azurite: Azurite;
  let replica: Replica | undefined;
  let endpoint = "";
  const buckets: Bucket[] = [];
  let requests = 0;

  before(async () => {
    azurite = await startAzurite();
    for (const set of sets) buckets.push(await seeded(azurite, set));
    replica = await openReplica(azurite);
    endpoint = `http://127.0.0.1:${(await replica.start()).s3.port}`;
  });
  after(async () => {
    await replica?.stop();
    await azurite?.stop();
  });

  for (const [index, { count, walks }] of sets.entries()) {
    test(`${walks} generated lists of ${count} keys, page by page: as S3's rules have them`, async () => {
      const bucket = buckets[index] as Bucket;
      const queries = listQueries(bucket.seed, bucket.keys);
      const differences: string[] = [];
      for (let walk = 0; walk < walks; walk += 1) {
        const query = queries.next().value;
        const different = (error: Error): number =>
          differences.push(`${JSON.stringify(query)}: ${error.message}`);
        requests += await compareWalk(endpoint, bucket, query).catch(different);
      }
      assert.deepEqual(differences, []);
    });
  }

  test("the lists above were more requests than the suite promises", (context) => {
    context.diagnostic(`${requests} requests`);
    assert.ok(requests >= requestsMin);
  });
});

/** Every page of a list. @returns how many requests that took. */
async function compareWalk(endpoint: string, bucket: Bucket, query: ListQuery): Promise<number> {
  let expectedPosition: string | undefined;
  let position: string | undefined;
  for (let page = 1; ; page += 1) {
    const expected = modelPage(bucket.keys, query, expectedPosition);
    const answer = await answerTo(endpoint, bucket.name, query, position);
    const wanted = expectedAnswer(bucket, query, expected, position, answer);
    assert.ok(
      isDeepStrictEqual(answer, wanted),
      `page ${page}: ${JSON.stringify(differenceOf(answer, wanted))}`,
    );
    if (!expected.isTruncated || page === pagesMax) return page;
    expectedPosition = expected.last;
    position = query.version === 2 ? answer.fields["NextContinuationToken"] : expected.last;
  }
}

function linesOf({ fields, objects, commonPrefixes }: AnsweredList): string[] {
  const names = ["Key", "LastModified", "ETag", "Size", "StorageClass", "Owner"];
  return [
    ...Object.entries(fields).map(([name, value]) => `${name}=${value}`),
    ...objects.map((each) => names.map((name) => each[name]).join(" ")),
    ...commonPrefixes.map((each) => `CommonPrefix ${each}`),
  ];
}

/** What is in one and not in the other. */
function differenceOf(answer: AnsweredList, wanted: AnsweredList): object {
  const [came, due] = [linesOf(answer), linesOf(wanted)];
  return {
    came: came.filter((line) => !due.includes(line)).slice(0, 5),
    due: due.filter((line) => !came.includes(line)).slice(0, 5),
  };
}

function expectedAnswer(
  bucket: Bucket,
  query: ListQuery,
  page: ReturnType<typeof modelPage>,
  position: string | undefined,
  answer: AnsweredList,
): AnsweredList {
  const { version, prefix, delimiter, after: placeAfter, encodesKeys, fetchesOwner } = query;
  const token = answer.fields["NextContinuationToken"];
  const common = {
    Name: bucket.name,
    Prefix: prefix,
    MaxKeys: String(answeredMaxKeys(query)),
    ...(delimiter !== "" && { Delimiter: delimiter }),
    ...(encodesKeys && { EncodingType: "url" }),
    IsTruncated: String(page.isTruncated),
  };
  const ofVersion1 = {
    Marker: position ?? placeAfter,
    ...(delimiter !== "" && page.isTruncated && { NextMarker: page.last }),
  };
  const ofVersion2 = {
    KeyCount: String(page.keys.length + page.commonPrefixes.length),
    ...(placeAfter !== "" && position === undefined && { StartAfter: placeAfter }),
    ...(position !== undefined && { ContinuationToken: position }),
    // Its text is Orca's own.
    ...(page.isTruncated && { NextContinuationToken: token ?? "any" }),
  };
  return {
    fields: { ...common, ...(version === 1 ? ofVersion1 : ofVersion2) },
    objects: page.keys.map((key) => {
      const { sizeBytes, etag, lastModified } = bucket.stored.get(key) as Stored;
      return {
        Key: key,
        LastModified: lastModified,
        ETag: etag,
        Size: String(sizeBytes),
        StorageClass: "STANDARD",
        ...((version === 1 || fetchesOwner) && { Owner: "known" }),
      };
    }),
    commonPrefixes: page.commonPrefixes,
  };
}

async function seeded(azurite: Azurite, { name, seed, count }: (typeof sets)[number]): Promise<Bucket> {
  const container = azurite.client.getContainerClient(name);
  await container.create();
  const stored = new Map<string, Stored>();
  const keys = inOrder(keySet(seed, count));
  const rest = keys.entries();
  const putSome = async (): Promise<void> => {
    for (const [index, key] of rest) {
      const body = Buffer.alloc(index % 7);
      const { etag = "", lastModified } = await container.getBlockBlobClient(key).upload(body, body.length);
      const date = lastModified?.toISOString() ?? "";
      stored.set(key, { sizeBytes: body.length, etag: `"${etag.replaceAll('"', "")}"`, lastModified: date });
    }
  };
  await Promise.all(Array.from({ length: 8 }, putSome));
  return { name, seed, keys, stored };
}

function openReplica({ account, accountKey, endpoint }: Azurite): Promise<Replica> {
  const config = loadConfig({
    env: { ORCA_AZUREBLOB_ACCOUNT_KEY: accountKey },
    overrides: {
      server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" },
      origin: {
        id: "lists",
        driver: "azureblob",
        azureblob: { account, container: "few", endpoint },
        buckets: Object.fromEntries(sets.map(({ name }) => [name, { bucket: name }])),
      },
      list_cache: { ttl: "0s" },
      memory: { max_bytes: "256MiB" },
    },
  });
  return Replica.open({
    config,
    clock: new SystemClock(),
    random: new SeededRandom(1),
    logger: new RecordedLogger(),
  });
}
