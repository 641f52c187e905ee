/**
 * Clients that people use, with no setting but endpoint and key, through a replica that verifies signatures: they list,
 * head, read whole and in ranges, and fail as they should.
 */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { assertPattern } from "../../support/pattern.ts";
import type { ClientKey } from "../../support/signed-get.ts";
import { testWith } from "../installed.ts";
import type { Access, Client, Session } from "./client.ts";
import { columnarOn } from "./columnar-suite.ts";
import { commandLineClients } from "./command-line-clients.ts";
import {
  empty,
  folderPrefix,
  GuardedReplica,
  large,
  names,
  odd,
  type SeededStore,
} from "./guarded-replica.ts";
import { nodeClients } from "./node-clients.ts";
import { pythonAndMountClients } from "./python-and-mount-clients.ts";

const clients = [...commandLineClients, ...nodeClients, ...pythonAndMountClients];

/** Registers the tests of all clients on a store. */
export function clientsOn(store: string, start: () => Promise<SeededStore>): void {
  let replica: GuardedReplica;
  before(async () => {
    replica = await GuardedReplica.start(await start());
  });
  after(() => replica?.stop());

  for (const client of clients) {
    testWith(client.required, `${client.name} on ${store}: lists, heads, reads whole and in ranges`, () =>
      reads(client, replica),
    );
    testWith(
      client.required,
      `${client.name} on ${store}: fails on a missing key, a wrong secret and an unknown access key`,
      () => fails(client, replica),
    );
  }
  columnarOn(store, () => replica);
}

async function reads({ open, rangesOfLarge }: Client, replica: GuardedReplica): Promise<void> {
  const session = await open(replica.accessWith());
  try {
    const listed = await session.list(folderPrefix);
    assert.deepEqual(plain(listed), plain(names));
    assert.equal(await session.head(large.key), large.sizeBytes);
    const rangesBefore = await rangesSent(replica);
    for (const { key, seed, sizeBytes } of [large, odd, empty]) {
      const body = await session.read(key);
      assert.equal(body.length, sizeBytes, key);
      assertPattern(body, seed, 0);
      if (key !== large.key || rangesOfLarge === undefined) continue;
      assert.equal((await rangesSent(replica)) - rangesBefore, rangesOfLarge, "ranges");
    }
    // Across the end of a chunk and of a part.
    const first = 8 * MiB - 100;
    const range = await session.readRange(large.key, first, first + 299);
    assert.equal(range.length, 300);
    assertPattern(range, large.seed, first);
  } finally {
    await session.close?.();
  }
}

/** A mount does not say which names are directories, and each client has an order of its own. */
function plain(listed: readonly string[]): string[] {
  return listed.map((name) => name.replace(/\/$/, "")).sort();
}

function rangesSent(replica: GuardedReplica): Promise<number> {
  return replica.metric('orca_requests_total{operation="get_object",status="206"}');
}

async function fails(client: Client, replica: GuardedReplica): Promise<void> {
  const { missing, denied, unknown = denied } = client;
  const absent = `${folderPrefix}absent`;
  const rejects = (why: RegExp, wrong: Partial<ClientKey>, use: Use): Promise<void> =>
    assert.rejects(withSession(client, replica.accessWith(wrong), use), why);
  await rejects(missing, {}, (session) => session.read(absent));
  await rejects(missing, {}, (session) => session.head(absent));
  await rejects(denied, { secretAccessKey: "wrong" }, (session) => session.read(large.key));
  await rejects(denied, { secretAccessKey: "wrong" }, (session) => session.list(folderPrefix));
  await rejects(unknown, { accessKeyId: "nobody" }, (session) => session.read(large.key));
}

type Use = (session: Session) => Promise<unknown>;

async function withSession({ open }: Client, access: Access, use: Use): Promise<void> {
  const session = await open(access);
  try {
    await use(session);
  } finally {
    await session.close?.();
  }
}
