/**
 * An S3 store that a test gets into trouble and out of it again: the in-repo server, which answers as Ceph RGW does, or
 * another store whose owner says how (test/system/troubled-rgw.ts). It takes the keys that replica-fixture.ts gives its
 * replicas, once they are let in.
 */
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { S3Server } from "./s3-server.ts";

/** Gone; takes connections and says nothing; 403 to everything; 403 QuotaExceeded to a put. */
export type StoreTrouble = "stopped" | "hanging" | "denying" | "full";

/** The keys that replica-fixture.ts gives its replicas. */
export const replicaKeys = { accessKey: "test", secretKey: "test-secret" };

interface Trouble {
  strike(): unknown;
  heal(): unknown;
}

/** The store itself. Its bucket maker, {@link replicaKeys}, is unknown to it until `letIn`. */
export interface StoreBehind {
  readonly endpoint: string;
  readonly troubles: Readonly<Record<StoreTrouble, Trouble>>;
  letIn(): unknown;
  stop(): Promise<void>;
}

export class TroubledStore {
  readonly endpoint: string;
  readonly #behind: StoreBehind;
  readonly #client: S3Client;
  #isLetIn = false;
  #trouble: Trouble | undefined;

  constructor(behind: StoreBehind) {
    const { accessKey: accessKeyId, secretKey: secretAccessKey } = replicaKeys;
    this.#behind = behind;
    this.endpoint = behind.endpoint;
    this.#client = new S3Client({
      endpoint: behind.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
    });
  }

  /** The in-repo server. */
  static async startServer(): Promise<TroubledStore> {
    return new TroubledStore(await serverBehind());
  }

  /** Makes the replicas' keys known, where they are not yet. */
  async letIn(): Promise<void> {
    if (this.#isLetIn) return;
    this.#isLetIn = true;
    await this.#behind.letIn();
  }

  async createBucket(name: string): Promise<void> {
    await this.#client.send(new CreateBucketCommand({ Bucket: name }));
  }

  /** Sizes of all objects in bytes, as the store itself lists them. */
  async sizes(bucket: string): Promise<readonly number[]> {
    const page = await this.#client.send(new ListObjectsV2Command({ Bucket: bucket }));
    if (page.IsTruncated) throw new Error(`Cannot list bucket "${bucket}": it has more than a page`);
    return page.Contents?.map(({ Size }) => Size ?? 0) ?? [];
  }

  async strike(trouble: StoreTrouble): Promise<void> {
    this.#trouble = this.#behind.troubles[trouble];
    await this.#trouble.strike();
  }

  /** Ends the trouble, where there is any. */
  async heal(): Promise<void> {
    const trouble = this.#trouble;
    this.#trouble = undefined;
    await trouble?.heal();
  }

  async stop(): Promise<void> {
    this.#client.destroy();
    await this.#behind.stop();
  }
}

async function serverBehind(): Promise<StoreBehind> {
  const server = await S3Server.start({ credentials: replicaKeys });
  const { faults } = server;
  faults.always("*", "*", { status: 403, code: "InvalidAccessKeyId" });
  const heal = (): void => faults.clear();
  return {
    endpoint: server.endpoint,
    troubles: {
      stopped: { strike: () => server.stop(), heal: () => server.listen() },
      hanging: { strike: () => faults.always("*", "*", { delayHeadMs: 60_000 }), heal },
      denying: { strike: () => faults.always("*", "*", { status: 403, code: "UserSuspended" }), heal },
      full: { strike: () => faults.always("PUT", "*", { status: 403, code: "QuotaExceeded" }), heal },
    },
    letIn: heal,
    stop: () => server.stop(),
  };
}
