/**
 * The ceiling of the bench: the least a node:http server can do with bytes that lie in RAM. It answers whole objects
 * and ranges of `/bench/<name>-<size>` with the headers an S3 client cannot do without, and knows nothing else.
 *
 *     node test/bench/bare-server.ts PORT
 */
import { createServer, type ServerResponse } from "node:http";
import { argv } from "node:process";

const segmentBytes = 1024 * 1024;

/** Each object has bytes of its own: if all shared a few segments, the processor's cache would serve them, not RAM. */
const objects = new Map<string, readonly Buffer[]>();

function segmentsOf(path: string, sizeBytes: number): readonly Buffer[] {
  const known = objects.get(path);
  if (known) return known;
  const segments = Array.from({ length: Math.ceil(sizeBytes / segmentBytes) }, () =>
    Buffer.from(new SharedArrayBuffer(Math.min(sizeBytes, segmentBytes))).fill(7),
  );
  objects.set(path, segments);
  return segments;
}

function send(response: ServerResponse, segments: readonly Buffer[], start: number, end: number): void {
  let position = start;
  const more = (): void => {
    const index = Math.floor(position / segmentBytes);
    const from = position - index * segmentBytes;
    const segment = segments[index] as Buffer;
    const slice = segment.subarray(from, Math.min(segmentBytes, from + end - position));
    position += slice.length;
    if (position === end) response.end(slice);
    else response.write(slice, more);
  };
  more();
}

createServer((request, response) => {
  const path = request.url ?? "";
  const sizeBytes = Number(/-(\d+)$/.exec(path)?.[1]);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const start = range ? Number(range[1]) : 0;
  const end = range ? Number(range[2]) + 1 : sizeBytes;
  const headers = [
    "ETag",
    '"bench"',
    "Last-Modified",
    "Thu, 01 Jan 2026 00:00:00 GMT",
    "Accept-Ranges",
    "bytes",
  ];
  headers.push("Content-Type", "application/octet-stream", "Content-Length", String(end - start));
  if (range) headers.push("Content-Range", `bytes ${start}-${end - 1}/${sizeBytes}`);
  response.writeHead(range ? 206 : 200, headers);
  send(response, segmentsOf(path, sizeBytes), start, end);
}).listen(Number(argv[2]), "127.0.0.1");
