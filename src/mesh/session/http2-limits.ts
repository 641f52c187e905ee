/**
 * HTTP/2 on the mesh, set on purpose: Node's defaults are made for browsers, and with them a session that carries chunks
 * is slow (64 KiB of window for everything in it) and dies at ten megabytes under way with ENHANCE_YOUR_CALM.
 *
 * How Node counts, measured on 26: the window of a session is given back as soon as bytes come in, that of a stream when
 * they are read. So a reader that stops holds up its own stream alone, and what a session can make us buffer is its
 * streams times their window.
 */
import type { ServerSessionOptions, SessionOptions, Settings } from "node:http2";
import { KiB, MiB } from "../../base/units.ts";

/** Streams at once on a session. A stream is a chunk or a call: more than this from one peer is a flood. */
export const streamsPerSessionMax = 1024;

/** Names and values of a request, and of a response with its error details in trailers. */
const headerListBytesMax = 16 * KiB;

/**
 * What a peer may have under way to us on one stream. A stream of chunk bytes is fast enough for 10 Gbit/s at 0.4 ms
 * with this; a message is at most 1 MiB and comes in a few rounds.
 */
export const streamWindowBytes = { bytes: 512 * KiB, control: 256 * KiB } as const;

export type Traffic = keyof typeof streamWindowBytes;

/** Never in the way of the streams, because it is given back as bytes come in. */
export const sessionWindowBytes = 16 * MiB;

export function settingsFor(traffic: Traffic): Settings {
  return {
    enablePush: false,
    initialWindowSize: streamWindowBytes[traffic],
    // Node cuts what it sends into 16 KiB whatever it may send, and larger frames would let a peer's urgent ones wait.
    maxFrameSize: 16 * KiB,
    maxConcurrentStreams: streamsPerSessionMax,
    maxHeaderListSize: headerListBytesMax,
  };
}

/** For both ends. */
export const sessionLimits = {
  // In megabytes, and no reservation: it counts chunk bytes on their way that live in our segments and are bounded there.
  // What bounds a peer are its streams and their windows; this is twice what they come to.
  maxSessionMemory: 2 * Math.ceil((streamsPerSessionMax * (streamWindowBytes.bytes + MiB)) / 1_000_000),
  maxHeaderListPairs: 64,
  maxSettings: 32,
  maxOutstandingPings: 4,
  maxSendHeaderBlockLength: headerListBytesMax,
  peerMaxConcurrentStreams: streamsPerSessionMax,
} as const satisfies SessionOptions;

/** For the end that others connect to. */
export const serverLimits = {
  ...sessionLimits,
  maxSessionInvalidFrames: 32,
  maxSessionRejectedStreams: 100,
  // A replica cancels streams as its clients leave; thousands in a second are CVE-2023-44487.
  streamResetBurst: 2 * streamsPerSessionMax,
  streamResetRate: streamsPerSessionMax,
} as const satisfies ServerSessionOptions;
