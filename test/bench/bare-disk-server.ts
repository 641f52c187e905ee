/**
 * What a node:http server can at most do with bytes that lie in files: read 1 MiB, write 1 MiB, and nothing else; with
 * `crc`, a CRC-32 of each MiB in between, which is what it costs not to trust a disk. It makes its files itself.
 *
 *     node test/bench/bare-disk-server.ts PORT FOLDER [crc]
 */
import { closeSync, openSync, read, writeSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { argv } from "node:process";
import { crc32 } from "node:zlib";

const blockBytes = 1024 * 1024;
const [port, folder = "", mode] = argv.slice(2);
const verifies = mode === "crc";
const files = new Map<string, number>();
const pool: Buffer[] = [];
let checksums = 0;

function fileOf(name: string, sizeBytes: number): number {
  const known = files.get(name);
  if (known !== undefined) return known;
  const path = join(folder, name);
  const writing = openSync(path, "w");
  const block = Buffer.alloc(blockBytes, name);
  for (let offset = 0; offset < sizeBytes; offset += blockBytes) writeSync(writing, block);
  closeSync(writing);
  const reading = openSync(path, "r");
  files.set(name, reading);
  return reading;
}

function send(response: ServerResponse, file: number, sizeBytes: number): void {
  const block = pool.pop() ?? Buffer.from(new SharedArrayBuffer(blockBytes));
  let position = 0;
  const more = (): void => {
    read(file, block, 0, blockBytes, position, (error, length) => {
      if (error || length !== blockBytes) {
        response.destroy();
        return;
      }
      if (verifies) checksums ^= crc32(block);
      position += length;
      if (position < sizeBytes) response.write(block, more);
      else response.end(block, () => pool.push(block));
    });
  };
  more();
}

createServer((request, response) => {
  const name = (request.url ?? "").slice("/bench/".length);
  const sizeBytes = Number(/-(\d+)$/.exec(name)?.[1]);
  response.writeHead(200, ["ETag", '"bench"', "Content-Length", String(sizeBytes)]);
  send(response, fileOf(name, sizeBytes), sizeBytes);
}).listen(Number(port), "127.0.0.1");
