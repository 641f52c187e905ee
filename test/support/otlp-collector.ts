/** A collector of traces on loopback: OTLP over HTTP in JSON, as a replica sends it. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly {
    readonly key: string;
    readonly value: Record<string, string | number | boolean>;
  }[];
}

/** A collector of OTLP over HTTP, as far as it takes traces in JSON. */
export async function collector(context: TestContext, status = 200) {
  const spans: SentSpan[] = [];
  const paths: string[] = [];
  const server = createServer((request, response) => {
    const slices: Buffer[] = [];
    request.on("data", (slice: Buffer) => slices.push(slice));
    request.on("end", () => {
      paths.push(`${request.method} ${request.url}`);
      const { resourceSpans } = JSON.parse(Buffer.concat(slices).toString()) as {
        resourceSpans: { scopeSpans: { spans: SentSpan[] }[] }[];
      };
      if (status === 200)
        spans.push(...resourceSpans.flatMap((each) => each.scopeSpans.flatMap((scope) => scope.spans)));
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { spans, paths, endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

export function attribute({ attributes }: SentSpan, name: string): string | number | boolean | undefined {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value && Object.values(value)[0];
}
