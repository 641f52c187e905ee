/**
 * The origin of the bench, a process of its own: an S3 endpoint that answers HEAD and ranged GET for any key out of one
 * buffer, as fast as a socket takes it. A key says what it is: `<name>-<size in bytes>`; with the prefix `slow-` its body
 * comes at 20 MB/s, and with `far-` it comes at 80 MB/s, 50 ms after the request. A listing is empty: Orca asks for one when it starts. `GET /_stats` tells what was asked, which is how
 * the bench counts.
 *
 *     node test/bench/bench-origin.ts PORT
 */
import { createServer, type ServerResponse } from "node:http";
import { argv } from "node:process";

const slowBytesPerSecond = 20_000_000;
const farBytesPerSecond = 80_000_000;
const farMs = 50;
const tickMs = 5;
const block = Buffer.allocUnsafeSlow(1024 * 1024);
for (let offset = 0; offset < block.length; offset += 1) block[offset] = (offset * 31 + (offset >> 8)) & 0xff;

const emptyListing = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult><Name>bench</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`;

let stats = { gets: 0, heads: 0, bytes: 0 };

function sendFast(response: ServerResponse, lengthBytes: number): void {
  let owed = lengthBytes;
  const more = (): void => {
    while (owed > 0) {
      const slice = owed < block.length ? block.subarray(0, owed) : block;
      owed -= slice.length;
      stats.bytes += slice.length;
      if (!response.write(slice)) {
        response.once("drain", more);
        return;
      }
    }
    response.end();
  };
  more();
}

function sendSlowly(response: ServerResponse, lengthBytes: number, bytesPerSecond: number): void {
  let owed = lengthBytes;
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const dueBytes = ((performance.now() - startedMs) / 1000) * bytesPerSecond;
    const due = Math.min(owed, Math.max(0, Math.floor(dueBytes - (lengthBytes - owed))));
    for (let left = due; left > 0; left -= block.length)
      response.write(block.subarray(0, Math.min(left, block.length)));
    owed -= due;
    stats.bytes += due;
    if (owed > 0) return;
    clearInterval(timer);
    response.end();
  }, tickMs);
  response.on("close", () => clearInterval(timer));
}

createServer((request, response) => {
  const url = request.url ?? "";
  if (url === "/_stats") {
    response.end(JSON.stringify(stats));
    stats = { gets: 0, heads: 0, bytes: 0 };
    return;
  }
  if (url.includes("list-type=2")) {
    response.writeHead(200, { "Content-Type": "application/xml" }).end(emptyListing);
    return;
  }
  const sizeBytes = Number(/-(\d+)(?:\?|$)/.exec(url)?.[1]);
  const headers = {
    ETag: '"bench"',
    "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
    "Content-Type": "application/octet-stream",
    "Accept-Ranges": "bytes",
  };
  const answer = (): void => {
    if (request.method === "HEAD") {
      stats.heads += 1;
      response.writeHead(200, { ...headers, "Content-Length": sizeBytes }).end();
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const start = range ? Number(range[1]) : 0;
    const end = range ? Math.min(Number(range[2]) + 1, sizeBytes) : sizeBytes;
    stats.gets += 1;
    response.writeHead(range ? 206 : 200, {
      ...headers,
      "Content-Length": end - start,
      ...(range && { "Content-Range": `bytes ${start}-${end - 1}/${sizeBytes}` }),
    });
    if (url.includes("/far-")) sendSlowly(response, end - start, farBytesPerSecond);
    else if (url.includes("/slow-")) sendSlowly(response, end - start, slowBytesPerSecond);
    else sendFast(response, end - start);
  };
  if (url.includes("/far-")) setTimeout(answer, farMs);
  else answer();
}).listen(Number(argv[2]), "127.0.0.1");
