/**
 * The frame around every message of a stream, which Connect and gRPC share: one byte of flags, the length as four
 * big-endian bytes, the message (https://connectrpc.com/docs/protocol#streaming-rpcs,
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). They differ only in how a stream ends: Connect with
 * one more enveloped message of JSON, gRPC with HTTP trailers. Connect's own functions write and read both, so that
 * typed details are the same as in its stock handlers.
 */
import { ConnectError } from "@connectrpc/connect";
import { endStreamFromJson, endStreamToJson } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";

/** The protocol of a stream, which determines how it ends. The `Content-Type` names it. */
export type RpcProtocol = "connect" | "grpc";

export const envelopeSizeBytes = 5;

/** The message is compressed with the stream's encoding. */
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

/** The protocol of a binary stream. Undefined for JSON, for unary calls and for any other type. */
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

/** Decodes the last envelope of a Connect stream. @throws ConnectError if it is malformed. */
export function endStreamError(message: Uint8Array): ConnectError | undefined {
  return endStreamFromJson(message).error;
}

/** The trailers of a gRPC stream: `grpc-status` and, for an error, `grpc-message` and `grpc-status-details-bin`. */
export function grpcTrailers(error: ConnectError | undefined): Record<string, string> {
  if (!error) return Object.fromEntries(setTrailerStatus(new Headers(), undefined));
  const encodable = wellFormed(error);
  const trailers = setTrailerStatus(new Headers(), encodable);
  // Connect encodes more characters than the protocol requires, and grpc-js does not decode all of them ("%3A").
  trailers.set("grpc-message", encodeURI(encodable.rawMessage));
  return Object.fromEntries(trailers);
}

/** Replaces lone surrogates, which cannot be percent-encoded. A hostile key may put one into a message. */
function wellFormed(error: ConnectError): ConnectError {
  if (error.rawMessage.isWellFormed()) return error;
  const replaced = new ConnectError(error.rawMessage.toWellFormed(), error.code);
  replaced.details = error.details;
  return replaced;
}

/**
 * Decodes gRPC trailers. `ended` is false if they hold no status.
 * @throws ConnectError or RangeError if details cannot be parsed.
 */
export function readGrpcTrailers(trailers: Headers): {
  readonly ended: boolean;
  readonly error: ConnectError | undefined;
} {
  const ended = trailers.has("grpc-status");
  return { ended, error: ended ? findTrailerError(trailers) : undefined };
}
