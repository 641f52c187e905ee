/**
 * Writes a FillChunk stream without copying its slices. A protobuf library would copy 1 MiB into a message, and again
 * into its envelope. Here a piece of data is a prefix of nine bytes and the slice, which go to the HTTP/2 stream
 * together. The memory of the slice must not be reused before its write has called back.
 */
import type { ServerHttp2Stream } from "node:http2";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { type ChunkSource, FillChunkResponseSchema } from "../../../gen/orca/v1/fill_pb.ts";
import { assert } from "../../base/assert.ts";
import {
  contentTypeOf,
  endStreamEnvelope,
  enveloped,
  envelopeSizeBytes,
  grpcTrailers,
  type RpcProtocol,
  writeEnvelope,
} from "./envelope.ts";
import { dataSizeBytesMax } from "./fill-stream-decoder.ts";

/** Field 2 of FillChunkResponse, length-delimited (https://protobuf.dev/programming-guides/encoding). */
const dataTag = (2 << 3) | 2;

/** A FillChunkResponse without a piece. */
const heartbeat = enveloped(0, new Uint8Array());

/** Called when the kernel has the bytes, or with the error that prevented it. */
export type OnWritten = (error?: Error | null) => void;

export class FillStreamEncoder {
  readonly #stream: ServerHttp2Stream;
  readonly #protocol: RpcProtocol;
  #owedBytes = 0;
  #begun = false;

  constructor(stream: ServerHttp2Stream, protocol: RpcProtocol) {
    this.#stream = stream;
    this.#protocol = protocol;
  }

  /** Sends the header: how many bytes of data follow, and where this replica reads them. */
  begin(lengthBytes: number, source: ChunkSource): void {
    assert(!this.#begun, "a stream begins once");
    this.#begun = true;
    this.#owedBytes = lengthBytes;
    this.#stream.respond(this.#headers(), { waitForTrailers: this.#protocol === "grpc" });
    this.#stream.write(piece({ case: "header", value: { length: BigInt(lengthBytes), source } }));
  }

  /** Sends the next bytes, 1 byte to 1 MiB. They are not copied, and the stream uses them until `onWritten`. */
  data(slice: Buffer, onWritten: OnWritten): void {
    this.#owedBytes -= slice.length;
    assert(this.#begun && this.#owedBytes >= 0, "no more is sent than the header said");
    const stream = this.#stream;
    // Corked, the two are one vectored write. Apart, the nine bytes would be a write and a frame of their own.
    stream.cork();
    stream.write(dataPrefix(slice.length));
    stream.write(slice, onWritten);
    stream.uncork();
  }

  /** Sends a sign of life. A caller that has not read the last one, or the data before it, gets no second one. */
  heartbeat(): void {
    if (this.#stream.writableLength === 0) this.#stream.write(heartbeat);
  }

  /** Ends the stream after all data. `sha256` is that of the whole chunk, or undefined if unknown. */
  end(sha256: Uint8Array = new Uint8Array()): void {
    assert(this.#begun && this.#owedBytes === 0, "a stream that looks complete is complete");
    this.#stream.write(piece({ case: "trailer", value: { sha256 } }));
    this.#finish(undefined);
  }

  /** Ends the stream with an error, before or after the first byte. */
  fail(error: ConnectError): void {
    if (this.#begun) return this.#finish(error);
    this.#begun = true;
    if (this.#protocol === "grpc") {
      // A gRPC response without a body carries its trailers as headers ("Trailers-Only").
      this.#stream.respond({ ...this.#headers(), ...grpcTrailers(error) }, { endStream: true });
      return;
    }
    this.#stream.respond(this.#headers());
    this.#finish(error);
  }

  #headers(): Record<string, string | number> {
    return { ":status": 200, "content-type": contentTypeOf(this.#protocol) };
  }

  #finish(error: ConnectError | undefined): void {
    const stream = this.#stream;
    if (this.#protocol === "connect") {
      stream.end(endStreamEnvelope(error));
      return;
    }
    const trailers = grpcTrailers(error);
    stream.once("wantTrailers", () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(trailers);
    });
    stream.end();
  }
}

/** A header or a trailer as a whole message. Both are small, so the library may copy them. */
function piece(value: MessageInitShape<typeof FillChunkResponseSchema>["piece"] & {}): Buffer {
  return enveloped(0, toBinary(FillChunkResponseSchema, create(FillChunkResponseSchema, { piece: value })));
}

/** The part of a data message before its data: envelope, tag, and the length as a varint of up to three bytes. */
function dataPrefix(lengthBytes: number): Buffer {
  assert(lengthBytes > 0 && lengthBytes <= dataSizeBytesMax, "a piece of data is 1 byte to 1 MiB");
  const lengthSizeBytes = lengthBytes < 1 << 7 ? 1 : lengthBytes < 1 << 14 ? 2 : 3;
  const prefix = Buffer.allocUnsafe(envelopeSizeBytes + 1 + lengthSizeBytes);
  writeEnvelope(prefix, 0, 0, 1 + lengthSizeBytes + lengthBytes);
  let at = envelopeSizeBytes;
  prefix[at++] = dataTag;
  for (let rest = lengthBytes; ; rest >>>= 7) {
    if (rest < 0x80) {
      prefix[at] = rest;
      return prefix;
    }
    prefix[at++] = (rest & 0x7f) | 0x80;
  }
}
