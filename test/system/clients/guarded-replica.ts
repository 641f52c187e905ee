/** A replica that gives nothing to clients without a key, in front of a real store that holds the objects of this suite. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SystemClock } from "../../../src/base/clock.ts";
import { SeededRandom } from "../../../src/base/random.ts";
import { MiB } from "../../../src/base/units.ts";
import { loadConfig, type SettingsTree } from "../../../src/config/load.ts";
import { Replica } from "../../../src/replica/replica.ts";
import { type Azurite, startAzurite } from "../../support/azurite.ts";
import { httpGet } from "../../support/http-get.ts";
import { patternBytes } from "../../support/pattern.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { type Rgw, startRgw } from "../../support/rgw.ts";
import { putInParts } from "../../support/s3-multipart.ts";
import type { ClientKey } from "../../support/signed-get.ts";
import type { Access } from "./client.ts";
import { azureCloudOf, type CloudStore, s3CloudOf } from "./cloud-store.ts";

const bucket = "models";
export const folderPrefix = "dir a/";
export const large = { key: `${folderPrefix}weights+1.bin`, seed: 1, sizeBytes: 20 * MiB + 5 };
export const odd = { key: `${folderPrefix}é&b=c (1)~'*.txt`, seed: 2, sizeBytes: 3000 };
export const empty = { key: `${folderPrefix}empty`, seed: 3, sizeBytes: 0 };
const deep = { key: `${folderPrefix}deep/x`, seed: 4, sizeBytes: 1 };
/** Each name directly below the prefix, in order. */
export const names = ["deep/", "empty", "weights+1.bin", "é&b=c (1)~'*.txt"];
const small = [odd, empty, deep];

/** A store that holds the objects, and how Orca reads it. */
export interface SeededStore {
  readonly settings: SettingsTree;
  readonly env: Readonly<Record<string, string>>;
  /** How Polars writes to it. */
  readonly cloud: CloudStore;
  stop(): Promise<void>;
}

export class GuardedReplica {
  readonly #folder = mkdtempSync(join(tmpdir(), "orca-clients-"));
  readonly store: SeededStore;
  #replica: Replica | undefined;
  #endpoint = "";
  #opsEndpoint = "";
  #clients = 0;

  private constructor(store: SeededStore) {
    this.store = store;
  }

  static async start(store: SeededStore): Promise<GuardedReplica> {
    const guarded = new GuardedReplica(store);
    try {
      await guarded.#start();
    } catch (error) {
      await guarded.stop();
      throw error;
    }
    return guarded;
  }

  /** For a client of its own, whose key may be wrong. */
  accessWith(wrong: Partial<ClientKey> = {}): Access {
    this.#clients += 1;
    const folder = join(this.#folder, `client-${this.#clients}`);
    mkdirSync(folder);
    const key = { accessKeyId: "reader", secretAccessKey: "secret-of-reader", ...wrong };
    return { endpoint: this.#endpoint, bucket, key, folder };
  }

  /** The sum of the series in `/metrics` whose text begins so. */
  async metric(start: string): Promise<number> {
    const text = await (await httpGet(`${this.#opsEndpoint}/metrics`)).text();
    const series = text.split("\n").filter((line) => line.startsWith(start));
    return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  async stop(): Promise<void> {
    await this.#replica?.stop();
    await this.store.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const keysFile = join(this.#folder, "keys.yaml");
    writeFileSync(
      keysFile,
      `keys: [{ access_key: reader, secret: secret-of-reader, buckets: [${bucket}] }]\n`,
    );
    const config = loadConfig({
      env: this.store.env,
      overrides: {
        server: {
          listen: "127.0.0.1:0",
          ops_listen: "127.0.0.1:0",
          auth: { enabled: true, access_keys_file: keysFile },
        },
        origin: { id: "real", ...this.store.settings },
        memory: { max_bytes: "256MiB" },
      },
    });
    this.#replica = await Replica.open({
      config,
      clock: new SystemClock(),
      random: new SeededRandom(1),
      logger: new RecordedLogger(),
    });
    const { s3, ops } = await this.#replica.start();
    this.#endpoint = `http://127.0.0.1:${s3.port}`;
    this.#opsEndpoint = `http://127.0.0.1:${ops.port}`;
  }
}

export async function seededRgw(): Promise<SeededStore> {
  const rgw = await startRgw();
  await seedRgw(rgw);
  const { endpoint, accessKey, secretKey } = rgw;
  return {
    settings: { driver: "awss3", awss3: { bucket, endpoint, use_path_style: true } },
    env: { ORCA_AWSS3_ACCESS_KEY: accessKey, ORCA_AWSS3_SECRET_KEY: secretKey },
    cloud: s3CloudOf({ endpoint, bucket, key: { accessKeyId: accessKey, secretAccessKey: secretKey } }),
    stop: () => rgw.stop(),
  };
}

async function seedRgw({ endpoint, accessKey, secretKey }: Rgw): Promise<void> {
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  await putInParts(client, { bucket, key: large.key, body: bytesOf(large), partSizeBytes: 8 * MiB });
  for (const each of small) {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: each.key, Body: bytesOf(each) }));
  }
  client.destroy();
}

export async function seededAzurite(): Promise<SeededStore> {
  const azurite: Azurite = await startAzurite();
  const container = azurite.client.getContainerClient(bucket);
  await container.create();
  for (const each of [large, ...small])
    await container.getBlockBlobClient(each.key).uploadData(bytesOf(each));
  const { account, accountKey, endpoint } = azurite;
  return {
    settings: { driver: "azureblob", azureblob: { account, container: bucket, endpoint } },
    env: { ORCA_AZUREBLOB_ACCOUNT_KEY: accountKey },
    cloud: azureCloudOf({ endpoint, account, accountKey, container: bucket }),
    stop: () => azurite.stop(),
  };
}

function bytesOf({ seed, sizeBytes }: typeof large): Buffer {
  return patternBytes(seed, 0, sizeBytes);
}
