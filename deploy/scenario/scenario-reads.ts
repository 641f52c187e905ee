/** The clients of the scenarios: each request has a connection of its own, and the whole answer is kept and looked at. */
import { createHash } from "node:crypto";
import { get } from "node:http";
import { type DemoReplica } from "../demo/demo-cluster.ts";

export interface ScenarioAnswer {
  readonly status: number;
  /** As it was sent, with its quotes. */
  readonly etag: string;
  readonly body: Buffer;
}

export interface ScenarioRequest {
  readonly replica: DemoReplica;
  readonly bucket: string;
  readonly key: string;
  readonly method?: "GET" | "HEAD";
  /** The value of `Range`. */
  readonly range?: string;
}

/** Undefined if no whole answer came. Rejects if `signal` aborts. */
export async function answerOf(
  { replica, bucket, key, method = "GET", range }: ScenarioRequest,
  signal: AbortSignal,
): Promise<ScenarioAnswer | undefined> {
  const url = `${replica.endpoint}/${bucket}/${key}`;
  const headers = range === undefined ? {} : { range };
  const { promise, resolve, reject } = Promise.withResolvers<ScenarioAnswer>();
  get(url, { method, headers, agent: false, signal }, (response) => {
    const slices: Buffer[] = [];
    response
      .on("data", (slice: Buffer) => slices.push(slice))
      .once("error", reject)
      .once("end", () => {
        const { statusCode: status = 0, headers: got } = response;
        resolve({ status, etag: got.etag ?? "", body: Buffer.concat(slices) });
      });
  }).once("error", reject);
  try {
    return await promise;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

export function sha256Of(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Runs `work` for each of `items`, `atOnce` at a time. */
export async function forEachOf<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next;
      next += 1;
      await work(items[index] as Item, index);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
