/**
 * The frame around every message of a stream, which Connect and gRPC share: one byte of flags, the length as four
 * big-endian bytes, the message (https://connectrpc.com/docs/protocol#streaming-rpcs,
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). They differ only in how a stream ends: Connect with
 * one more enveloped message of JSON, gRPC with HTTP trailers. What stands in either is written and read by Connect's
 * own functions, so that typed details mean here what they mean in its stock handlers.
 */
import { ConnectError } from "@connectrpc/connect";
import { endStreamFromJson, endStreamToJson } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";

/** How a stream of envelopes ends. Its `Content-Type` says which it is. */
export type RpcProtocol = "connect" | "grpc";

export const envelopeSizeBytes = 5;

/** The message is compressed by the stream's encoding. */
export const compressedFlag = 0b01;
/** Connect only: the message is the end of the stream. */
export const endStreamFlag = 0b10;

/** Writes the five bytes at `offset` of `target`. */
export function writeEnvelope(target: Buffer, offset: number, flags: number, lengthBytes: number): void {
  target.writeUInt8(flags, offset);
  target.writeUInt32BE(lengthBytes, offset + 1);
}

/** A small message with its envelope, in a buffer of its own. */
export function enveloped(flags: number, message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(envelopeSizeBytes + message.length);
  writeEnvelope(bytes, 0, flags, message.length);
  bytes.set(message, envelopeSizeBytes);
  return bytes;
}

/** The protocol of a binary stream; undefined for JSON, for unary calls and for everything else. */
export function rpcProtocolOf(contentType: string | undefined): RpcProtocol | undefined {
  const type = contentType?.toLowerCase();
  if (type === "application/connect+proto") return "connect";
  return type === "application/grpc" || type === "application/grpc+proto" ? "grpc" : undefined;
}

/** `Content-Type` of requests and responses. */
export function contentTypeOf(protocol: RpcProtocol): string {
  return protocol === "connect" ? "application/connect+proto" : "application/grpc+proto";
}

/** The last envelope of a Connect stream. */
export function endStreamEnvelope(error: ConnectError | undefined): Buffer {
  const json = JSON.stringify(endStreamToJson(new Headers(), error, undefined));
  return enveloped(endStreamFlag, Buffer.from(json, "utf8"));
}

/** What the last envelope of a Connect stream says. @throws ConnectError where it is not what it should be. */
export function endStreamError(message: Uint8Array): ConnectError | undefined {
  return endStreamFromJson(message).error;
}

/** The trailers of a gRPC stream: `grpc-status` and, of an error, `grpc-message` and `grpc-status-details-bin`. */
export function grpcTrailers(error: ConnectError | undefined): Record<string, string> {
  if (!error) return Object.fromEntries(setTrailerStatus(new Headers(), undefined));
  const said = wellFormed(error);
  const trailers = setTrailerStatus(new Headers(), said);
  // Connect encodes more than the protocol asks for, and grpc-js does not decode all of that ("%3A" for a colon).
  trailers.set("grpc-message", encodeURI(said.rawMessage));
  return Object.fromEntries(trailers);
}

/** A lone surrogate, which a hostile key may bring into a message, cannot be percent-encoded. */
function wellFormed(error: ConnectError): ConnectError {
  if (error.rawMessage.isWellFormed()) return error;
  const mended = new ConnectError(error.rawMessage.toWellFormed(), error.code);
  mended.details = error.details;
  return mended;
}

/**
 * What gRPC trailers say; `ended` is false where there is no status among them.
 * @throws ConnectError or RangeError where details cannot be parsed.
 */
export function readGrpcTrailers(trailers: Headers): {
  readonly ended: boolean;
  readonly error: ConnectError | undefined;
} {
  const ended = trailers.has("grpc-status");
  return { ended, error: ended ? findTrailerError(trailers) : undefined };
}
