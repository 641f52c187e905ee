/**
 * The limits of the mesh: of its HTTP/2 sessions and of its messages. Node's defaults are made for browsers. With them,
 * a session that carries chunks is slow, because all its streams share a window of 64 KiB. It also dies, with
 * ENHANCE_YOUR_CALM, when ten megabytes are in transit.
 *
 * Node 26, as measured, enlarges the window of a session again as soon as bytes arrive, and that of a stream when they
 * are read. So a reader that stops blocks only its own stream. A session can make this replica buffer at most its
 * number of streams times the window of a stream.
 */
import type { ServerSessionOptions, SessionOptions, Settings } from "node:http2";
import { KiB, MiB } from "../../base/units.ts";

/** Streams at once on a session. A stream is one chunk or one call, so more of them from one peer are a flood. */
export const streamsPerSessionMax = 1024;

/**
 * Bytes of one message, apart from chunk bytes. They bound what a peer can make this replica hold for one call. Answers,
 * and exchanges of views, are this large at most. The parts that fill messages (gossip, pages of a listing) stay below
 * it.
 */
export const messageBytesMax = MiB + 64 * KiB;

/** Bytes of a request that is no message of the membership: names, of which a key and a token have a few KiB. */
export const requestBytesMax = 16 * KiB;

/** Bytes of a ping. It carries up to 64 KiB of gossip. */
export const pingBytesMax = 160 * KiB;

/** Names and values of the headers of a request, and of a response with its error details in trailers. */
const headerListBytesMax = 16 * KiB;

/**
 * Bytes that a peer may have in transit to this replica on one stream. A stream of chunk bytes reaches 10 Gbit/s with a
 * round trip of 0.4 ms. A message is little more than 1 MiB at most and takes a few round trips.
 */
export const streamWindowBytes = { bytes: 512 * KiB, control: 256 * KiB } as const;

export type Traffic = keyof typeof streamWindowBytes;

/** It never limits the streams, because Node enlarges it again as bytes arrive. */
export const sessionWindowBytes = 16 * MiB;

export function settingsFor(traffic: Traffic): Settings {
  return {
    enablePush: false,
    initialWindowSize: streamWindowBytes[traffic],
    // Node sends frames of at most 16 KiB in any case, and larger frames of a peer would delay its urgent ones.
    maxFrameSize: 16 * KiB,
    maxConcurrentStreams: streamsPerSessionMax,
    maxHeaderListSize: headerListBytesMax,
  };
}

/** For both ends of a session. */
export const sessionLimits = {
  // In megabytes, and not reserved. Node also counts chunk bytes that wait to be sent, but these lie in segments of the
  // memory budget and are bounded there. A peer is bounded by its streams and their windows. This is twice their
  // product.
  maxSessionMemory: 2 * Math.ceil((streamsPerSessionMax * (streamWindowBytes.bytes + MiB)) / 1_000_000),
  maxHeaderListPairs: 64,
  maxSettings: 32,
  maxOutstandingPings: 4,
  maxSendHeaderBlockLength: headerListBytesMax,
  peerMaxConcurrentStreams: streamsPerSessionMax,
} as const satisfies SessionOptions;

/** For the server end of a session. */
export const serverLimits = {
  ...sessionLimits,
  maxSessionInvalidFrames: 32,
  maxSessionRejectedStreams: 100,
  // A replica cancels streams when its clients disconnect. Thousands in a second are an attack (CVE-2023-44487).
  streamResetBurst: 2 * streamsPerSessionMax,
  streamResetRate: streamsPerSessionMax,
} as const satisfies ServerSessionOptions;
