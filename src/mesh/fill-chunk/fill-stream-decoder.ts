/**
 * Decodes a FillChunk stream from slices as the connection delivers them, cut anywhere, and writes the data straight
 * into a sink. A protobuf library needs a whole message, and returns a copy of its bytes. This decoder parses a message
 * in place, so it never collects a piece of 1 MiB. One copy remains, from the slice into the sink: node:http2 delivers
 * views of its own 64 KiB read buffer and, unlike a plain socket, cannot read into the caller's memory.
 *
 * Invariants:
 * 1. The sink gets only bytes that the header promised, in order. Surplus bytes are rejected before they are written.
 * 2. The decoder collects only small messages, each up to its limit. The bytes that it skips are limited, too.
 * 3. After a fault, an end or {@link FillStreamDecoder.stop}, it uses neither the sink nor the receiver.
 */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type FillHeader,
  FillHeaderSchema,
  type FillTrailer,
  FillTrailerSchema,
} from "../../../gen/orca/v1/fill_pb.ts";
import { assert } from "../../base/assert.ts";
import type { ByteSink } from "../../base/byte-sink.ts";
import { KiB, MiB } from "../../base/units.ts";
import {
  compressedFlag,
  endStreamError,
  endStreamFlag,
  envelopeSizeBytes,
  type RpcProtocol,
  readGrpcTrailers,
} from "./envelope.ts";
import { FillStreamFault, parsed } from "./fill-stream-fault.ts";

/** Limit of one piece of data. */
export const dataSizeBytesMax = MiB;
/** Limit of a header or a trailer. */
const pieceSizeBytesMax = 4 * KiB;
/** Limit of Connect's end of stream: an error with its details. */
const endStreamSizeBytesMax = 64 * KiB;
/** Limit of a whole message: data, and fields of a newer sender around it. */
const messageSizeBytesMax = dataSizeBytesMax + 4 * KiB;
/** Limit of the bytes between two pieces of data that are no known piece: heartbeats, one a second for hours. */
const skippedBytesMax = 64 * KiB;

/** Field numbers of FillChunkResponse (https://protobuf.dev/programming-guides/encoding). */
const headerField = 1;
const dataField = 2;
const trailerField = 3;

/** Checks the header before the first byte, and returns the sink for the bytes. An exception ends the stream. */
export type FillHeaderReceiver = (header: FillHeader, lengthBytes: number) => ByteSink;

/**
 * The part of the stream that the next byte belongs to. `collect`: a header, a trailer or an end of stream. `skip`: an
 * unknown field; `skipVarint` if it is a number.
 */
type Phase =
  | "envelope"
  | "tag"
  | "fieldLength"
  | "data"
  | "collect"
  | "skip"
  | "skipVarint"
  | "ended"
  | "stopped";

export class FillStreamDecoder {
  readonly #protocol: RpcProtocol;
  readonly #onHeader: FillHeaderReceiver;
  #phase: Phase = "envelope";
  /** Bytes of the envelope that were read, and the flags among them. */
  #envelopeBytes = 0;
  #flags = 0;
  /** Bytes of the message not read yet. While the envelope is being read, the part of the length read so far. */
  #messageBytes = 0;
  /** Bytes of the field not read yet. */
  #fieldBytes = 0;
  #field = 0;
  #varint = 0;
  #varintBytes = 0;
  /** Whether the message has had its one piece. */
  #pieceSeen = false;
  #collected: Buffer | undefined;
  #collectedBytes = 0;
  #skippedBytes = 0;
  #sink: ByteSink | undefined;
  #owedBytes = 0;
  #trailer: FillTrailer | undefined;

  constructor(protocol: RpcProtocol, onHeader: FillHeaderReceiver) {
    this.#protocol = protocol;
    this.#onHeader = onHeader;
  }

  /** Bytes of data that the header promised and that have not arrived. */
  get owedBytes(): number {
    return this.#owedBytes;
  }

  /**
   * Decodes the next bytes of the body, and does not use them after it has returned.
   * @throws FillStreamFault, the ConnectError that the peer sent, or the receiver's exception. It must be the last
   * call.
   */
  push(slice: Buffer): void {
    let at = 0;
    try {
      while (at < slice.length && this.#phase !== "stopped") at = this.#step(slice, at);
    } catch (thrown) {
      this.stop();
      throw thrown;
    }
  }

  /**
   * Ends the body. `trailers` are the HTTP trailers, or the headers of a gRPC response without a body.
   * @throws FillStreamFault, or the ConnectError that the peer sent.
   */
  end(trailers: Headers): FillTrailer {
    assert(this.#phase !== "stopped", "a stopped stream is not ended");
    const ended = this.#phase === "ended";
    const between = this.#phase === "envelope" && this.#envelopeBytes === 0;
    this.stop();
    if (this.#protocol === "connect" && !ended) throw this.#truncated("no end of stream");
    if (this.#protocol === "grpc") {
      // A status gives the reason even if the body broke off.
      const status = parsed("its trailers", () => readGrpcTrailers(trailers));
      if (status.error) throw status.error;
      if (!status.ended) throw this.#truncated("no grpc-status");
      if (!between) throw this.#truncated("it stops in the middle of a message");
    }
    if (!this.#trailer) throw this.#truncated("no trailer");
    return this.#trailer;
  }

  /** Releases the sink, and drops the rest of the slice. May be called from within the sink or the receiver. */
  stop(): void {
    this.#phase = "stopped";
    this.#sink = undefined;
    this.#collected = undefined;
  }

  /** Reads from `at`. Returns where the next step begins. */
  #step(slice: Buffer, at: number): number {
    switch (this.#phase) {
      case "data":
        return this.#readData(slice, at);
      case "envelope":
        return this.#readEnvelope(slice, at);
      case "collect":
        return this.#collect(slice, at);
      case "skip":
        return this.#skip(slice, at);
      case "ended":
        throw new FillStreamFault("disorder", "bytes follow its end");
      case "stopped":
        return slice.length;
      default:
        this.#readVarint(slice[at] as number);
        return at + 1;
    }
  }

  #readEnvelope(slice: Buffer, at: number): number {
    const byte = slice[at] as number;
    if (this.#envelopeBytes === 0) this.#flags = byte;
    else this.#messageBytes = this.#messageBytes * 256 + byte;
    this.#envelopeBytes += 1;
    if (this.#envelopeBytes === envelopeSizeBytes) {
      this.#envelopeBytes = 0;
      this.#beginMessage();
    }
    return at + 1;
  }

  #beginMessage(): void {
    const lengthBytes = this.#messageBytes;
    if ((this.#flags & compressedFlag) !== 0) {
      throw new FillStreamFault("compressed", `a message of ${lengthBytes} bytes is compressed`);
    }
    if (this.#flags === endStreamFlag && this.#protocol === "connect") {
      this.#beginCollect(0, lengthBytes, endStreamSizeBytesMax);
      // An empty end is not JSON. No byte follows that would reach the parser, so it is called here.
      if (lengthBytes === 0) this.#finishCollected();
      return;
    }
    if (this.#flags !== 0) throw new FillStreamFault("malformed", `an envelope has the flags ${this.#flags}`);
    if (lengthBytes > messageSizeBytesMax) throw oversize("message", lengthBytes, messageSizeBytesMax);
    this.#pieceSeen = false;
    this.#nextField();
  }

  /** Between two fields of a message, or after the last one. */
  #nextField(): void {
    this.#varint = 0;
    this.#varintBytes = 0;
    if (this.#messageBytes > 0) {
      this.#phase = "tag";
      return;
    }
    // A message without a known piece costs time and holds no data, so it counts as skipped bytes.
    if (!this.#pieceSeen) this.#countSkipped(envelopeSizeBytes);
    this.#phase = "envelope";
  }

  /** Adds a byte to a tag, a length or a skipped number. Each has at most 10 bytes, as many as 64 bits need. */
  #readVarint(byte: number): void {
    this.#takeFromMessage(1);
    this.#varint += (byte & 0x7f) * 2 ** (7 * this.#varintBytes);
    this.#varintBytes += 1;
    if ((byte & 0x80) !== 0) {
      if (this.#varintBytes === 10)
        throw new FillStreamFault("malformed", "a varint is longer than 10 bytes");
      if (this.#messageBytes === 0) throw new FillStreamFault("malformed", "a message ends within a varint");
      return;
    }
    const value = this.#varint;
    if (this.#phase === "tag") return this.#beginField(value);
    if (this.#phase === "fieldLength") return this.#beginLengthDelimited(value);
    this.#countSkipped(this.#varintBytes);
    this.#nextField();
  }

  /** A tag is the field number and, in its low three bits, protobuf's wire type. */
  #beginField(tag: number): void {
    this.#field = Math.floor(tag / 8);
    this.#varint = 0;
    this.#varintBytes = 0;
    const wireType = tag % 8;
    if (this.#field === 0 || tag > 0xffff_ffff)
      throw new FillStreamFault("malformed", `a field has the tag ${tag}`);
    const known = this.#field <= trailerField;
    if (known && wireType !== 2) {
      throw new FillStreamFault("malformed", `field ${this.#field} has the wire type ${wireType}`);
    }
    if (wireType === 0) this.#phase = "skipVarint";
    else if (wireType === 1) this.#beginSkip(8);
    else if (wireType === 2) this.#phase = "fieldLength";
    else if (wireType === 5) this.#beginSkip(4);
    // proto3 has no groups, and they can be nested, so they are rejected and not skipped.
    else throw new FillStreamFault("malformed", `field ${this.#field} has the wire type ${wireType}`);
    if (this.#phase !== "skip" && this.#messageBytes === 0) {
      throw new FillStreamFault("malformed", "a message ends after a tag");
    }
  }

  #beginLengthDelimited(lengthBytes: number): void {
    if (this.#field > trailerField) return this.#beginSkip(lengthBytes);
    if (lengthBytes > this.#messageBytes) throw this.#pastMessage(lengthBytes);
    if (this.#pieceSeen) throw new FillStreamFault("disorder", "a message has more than one piece");
    this.#pieceSeen = true;
    if (this.#field === dataField) return this.#beginData(lengthBytes);
    if ((this.#field === headerField) === (this.#sink !== undefined) || this.#trailer) {
      throw new FillStreamFault("disorder", `field ${this.#field} is at the wrong place`);
    }
    if (this.#field === trailerField && this.#owedBytes > 0) {
      throw new FillStreamFault("too_few", `its trailer arrived with ${this.#owedBytes} bytes missing`);
    }
    this.#messageBytes -= lengthBytes;
    this.#beginCollect(this.#field, lengthBytes, pieceSizeBytesMax);
    if (lengthBytes === 0) this.#finishCollected();
  }

  #beginData(lengthBytes: number): void {
    if (!this.#sink || this.#trailer) throw new FillStreamFault("disorder", "data is at the wrong place");
    if (lengthBytes === 0) throw new FillStreamFault("malformed", "a piece of data is empty");
    if (lengthBytes > dataSizeBytesMax) throw oversize("piece", lengthBytes, dataSizeBytesMax);
    if (lengthBytes > this.#owedBytes) {
      throw new FillStreamFault(
        "too_many",
        `a piece has ${lengthBytes} bytes, ${this.#owedBytes} are missing`,
      );
    }
    this.#skippedBytes = 0;
    this.#messageBytes -= lengthBytes;
    this.#fieldBytes = lengthBytes;
    this.#phase = "data";
  }

  #readData(slice: Buffer, at: number): number {
    const sink = this.#sink as ByteSink;
    const space = sink.space();
    assert(
      space.length > 0 && space.length <= this.#owedBytes,
      "a sink has room for the promised bytes, and for no more",
    );
    const copied = slice.copy(space, 0, at, Math.min(slice.length, at + this.#fieldBytes));
    this.#owedBytes -= copied;
    this.#fieldBytes -= copied;
    if (this.#fieldBytes === 0) this.#nextField();
    // This is the last step, because the sink may stop this decoder from within.
    sink.advance(copied);
    return at + copied;
  }

  #beginCollect(field: number, lengthBytes: number, limitBytes: number): void {
    if (lengthBytes > limitBytes) throw oversize("message", lengthBytes, limitBytes);
    this.#field = field;
    this.#fieldBytes = lengthBytes;
    this.#collected = Buffer.allocUnsafe(lengthBytes);
    this.#collectedBytes = 0;
    this.#phase = "collect";
  }

  #collect(slice: Buffer, at: number): number {
    const collected = this.#collected as Buffer;
    const copied = slice.copy(collected, this.#collectedBytes, at);
    this.#collectedBytes += copied;
    if (this.#collectedBytes === this.#fieldBytes) this.#finishCollected();
    return at + copied;
  }

  #finishCollected(): void {
    const message = this.#collected as Buffer;
    this.#collected = undefined;
    if (this.#field === headerField) this.#receiveHeader(message);
    else if (this.#field === trailerField) this.#receiveTrailer(message);
    else return this.#receiveEnd(message);
    // The receiver may have stopped this decoder from within.
    if (this.#phase !== "stopped") this.#nextField();
  }

  #receiveHeader(message: Buffer): void {
    const header = parsed("its header", () => fromBinary(FillHeaderSchema, message));
    const lengthBytes = Number(header.length);
    if (!Number.isSafeInteger(lengthBytes)) {
      throw new FillStreamFault("malformed", `its header promises ${header.length} bytes`);
    }
    const sink = this.#onHeader(header, lengthBytes);
    if (this.#phase === "stopped") return;
    this.#owedBytes = lengthBytes;
    this.#sink = sink;
  }

  #receiveTrailer(message: Buffer): void {
    const trailer = parsed("its trailer", () => fromBinary(FillTrailerSchema, message));
    if (trailer.sha256.length !== 0 && trailer.sha256.length !== 32) {
      throw new FillStreamFault("malformed", `its trailer has a SHA-256 of ${trailer.sha256.length} bytes`);
    }
    this.#trailer = trailer;
  }

  #receiveEnd(message: Buffer): void {
    const error = parsed("its end of stream", () => endStreamError(message));
    if (error) throw error;
    this.#phase = "ended";
  }

  #beginSkip(lengthBytes: number): void {
    if (lengthBytes > this.#messageBytes) throw this.#pastMessage(lengthBytes);
    this.#countSkipped(lengthBytes);
    this.#messageBytes -= lengthBytes;
    this.#fieldBytes = lengthBytes;
    if (lengthBytes === 0) this.#nextField();
    else this.#phase = "skip";
  }

  #skip(slice: Buffer, at: number): number {
    const skipped = Math.min(slice.length - at, this.#fieldBytes);
    this.#fieldBytes -= skipped;
    if (this.#fieldBytes === 0) this.#nextField();
    return at + skipped;
  }

  #countSkipped(lengthBytes: number): void {
    this.#skippedBytes += lengthBytes;
    if (this.#skippedBytes > skippedBytesMax) {
      throw new FillStreamFault("oversize", `${skippedBytesMax} bytes in a row hold no known piece`);
    }
  }

  #takeFromMessage(lengthBytes: number): void {
    assert(this.#messageBytes >= lengthBytes, "a field is read within its message");
    this.#messageBytes -= lengthBytes;
  }

  #pastMessage(lengthBytes: number): FillStreamFault {
    const reason = `field ${this.#field} has ${lengthBytes} bytes, but its message has only ${this.#messageBytes} more`;
    return new FillStreamFault("malformed", reason);
  }

  #truncated(reason: string): FillStreamFault {
    return new FillStreamFault("truncated", `it ended with ${this.#owedBytes} bytes missing: ${reason}`);
  }
}

function oversize(what: string, lengthBytes: number, maxBytes: number): FillStreamFault {
  return new FillStreamFault(
    "oversize",
    `a ${what} has ${lengthBytes} bytes, at most ${maxBytes} are accepted`,
  );
}
