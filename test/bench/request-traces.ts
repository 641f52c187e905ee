/**
 * Seeded sequences of requests, each after something that caches meet: popularity that lasts, moves or is spoilt by keys
 * that are asked for once; scans and loops; parts of large objects; readers behind each other. A trace has a set of keys
 * that come back, of which a cache holds a share, and other keys besides, which are new whenever they come.
 */
import { type Random, SeededRandom } from "../../src/base/random.ts";

export interface TraceScale {
  /** How many keys come back. */
  readonly keyCount: number;
  readonly requestCount: number;
  readonly seed: number;
}

export interface RequestTrace {
  readonly name: string;
  readonly keys: Int32Array;
  /** By key. */
  readonly sizes: Float64Array;
  /** Of all keys that come back together. */
  readonly setBytes: number;
}

type NextKey = (request: number) => number;

/** Draws ranks 0.. with probability proportional to 1 / (rank + 1)^exponent, by bisection of the cumulated weights. */
function zipfRanks(exponent: number, count: number, random: Random): () => number {
  const cumulated = new Float64Array(count);
  let total = 0;
  for (let rank = 0; rank < count; rank += 1) {
    total += 1 / (rank + 1) ** exponent;
    cumulated[rank] = total;
  }
  return () => {
    const drawn = random.next() * total;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulated[middle] as number) < drawn) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

interface LargeObject {
  readonly firstKey: number;
  readonly chunkCount: number;
}

class TraceMaker {
  readonly #scale: TraceScale;
  readonly #unitSizes: Float64Array;
  /** From 1 to 64 units, evenly on a logarithmic scale, and apart from popularity. */
  readonly #mixedSizes: Float64Array;
  #seed: number;

  constructor(scale: TraceScale) {
    this.#scale = scale;
    this.#seed = scale.seed;
    const random = this.#random();
    const length = scale.keyCount + scale.requestCount;
    this.#unitSizes = new Float64Array(length).fill(1);
    this.#mixedSizes = Float64Array.from({ length }, () => Math.floor(64 ** random.next()));
  }

  zipf(exponent: number, sizes: "unit" | "mixed" = "unit"): RequestTrace {
    const name = sizes === "mixed" ? ", mixed sizes" : "";
    return this.#trace(`Zipf ${exponent.toFixed(1)}${name}`, this.#zipf(exponent), sizes);
  }

  /** Among the requests some are for keys that nobody asks for again. */
  wonders(exponent: number, share: number): RequestTrace {
    return this.#mixed(
      `Zipf ${exponent.toFixed(1)}, ${share * 100} % wonders`,
      exponent,
      share,
      (step) => step,
    );
  }

  /** After as many requests as there are keys on a third, somebody reads a sixth as many from end to end, once or each time. */
  scans(exponent: number, sameEachTime: boolean): RequestTrace {
    const { keyCount } = this.#scale;
    const next = this.#zipf(exponent);
    const scanLength = Math.floor(keyCount / 6);
    let scanned = 0;
    const name = sameEachTime ? "the same scan again" : "scans";
    return this.#trace(`Zipf ${exponent.toFixed(1)}, ${name}`, (request) => {
      if (request % (3 * scanLength) < 2 * scanLength) return next();
      scanned += 1;
      return keyCount + (sameEachTime ? scanned % scanLength : scanned);
    });
  }

  /** The popular keys are others after each of `parts` of the trace. */
  shifting(exponent: number, parts: number): RequestTrace {
    const { keyCount, requestCount } = this.#scale;
    const next = this.#zipf(exponent);
    return this.#trace(`Zipf ${exponent.toFixed(1)}, shifting ${parts} times`, (request) => {
      return (next() + Math.floor((request * parts) / requestCount) * 997) % keyCount;
    });
  }

  /** Each key's popularity becomes that of the one before it, little by little. */
  drifting(exponent: number): RequestTrace {
    const { keyCount } = this.#scale;
    const next = this.#zipf(exponent);
    return this.#trace(`Zipf ${exponent.toFixed(1)}, drifting`, (request) => {
      return (next() + Math.floor(request / 40)) % keyCount;
    });
  }

  loop(setShare: number): RequestTrace {
    const length = Math.floor(this.#scale.keyCount * setShare);
    return this.#trace(`loop over ${setShare * 100} %`, (request) => request % length);
  }

  loopBesideZipf(share: number, setShare: number): RequestTrace {
    const length = Math.floor(this.#scale.keyCount * setShare);
    return this.#mixed(
      `Zipf 1.0, ${share * 100} % loop over ${setShare * 100} %`,
      1,
      share,
      (step) => step % length,
    );
  }

  /** Some keys are asked for twice, with as many others of their kind in between as `setShare` of the set. */
  pairs(share: number, setShare: number, exponent = 1): RequestTrace {
    const distance = Math.max(1, Math.floor(this.#scale.keyCount * setShare));
    const name = `Zipf ${exponent.toFixed(1)}, ${share * 100} % pairs ${setShare * 100} % apart`;
    return this.#mixed(name, exponent, share, (step) => {
      const pair = step >>> 1;
      return step % 2 === 0 ? pair : Math.max(0, pair - distance);
    });
  }

  /** Several read the same large objects, each a little behind the one before, and nobody reads them again. */
  followers(share: number, readers: number, lagShare: number): RequestTrace {
    const lag = Math.floor(this.#scale.keyCount * lagShare);
    const name = `Zipf 1.0, ${share * 100} % ${readers} readers ${lagShare * 100} % apart`;
    return this.#mixed(name, 1, share, (step) =>
      Math.max(0, Math.floor(step / readers) - (step % readers) * lag),
    );
  }

  /** Runs of up to 16 chunks anywhere in large objects. */
  ranges(): RequestTrace {
    const random = this.#random();
    const next = this.#largeObjects(1);
    let at = 0;
    let end = 0;
    return this.#trace("ranges of large objects", () => {
      if (at === end) {
        const { firstKey, chunkCount } = next();
        at = firstKey + Math.floor(chunkCount * random.next());
        end = Math.min(firstKey + chunkCount, at + 1 + Math.floor(16 * random.next()));
      }
      at += 1;
      return at - 1;
    });
  }

  /** Large objects are read from end to end, several at a time. */
  streams(count: number, exponent: number): RequestTrace {
    const random = this.#random();
    const next = this.#largeObjects(exponent);
    const streams = Array.from({ length: count }, () => ({ at: 0, end: 0 }));
    return this.#trace(`${count} streams of Zipf ${exponent.toFixed(1)} objects`, () => {
      const stream = streams[Math.floor(random.next() * count)] as (typeof streams)[number];
      if (stream.at === stream.end) {
        const { firstKey, chunkCount } = next();
        stream.at = firstKey;
        stream.end = firstKey + chunkCount;
      }
      stream.at += 1;
      return stream.at - 1;
    });
  }

  /** The last chunk of a large object, then some from anywhere in it: files with their index at the end. */
  footers(): RequestTrace {
    const random = this.#random();
    const next = this.#largeObjects(1);
    let object = next();
    return this.#trace("footers and columns", (request) => {
      if (request % 4 > 0) return object.firstKey + Math.floor(object.chunkCount * random.next());
      object = next();
      return object.firstKey + object.chunkCount - 1;
    });
  }

  /** Zipf, and a share of requests for keys of their own, which `keyOf` counts from 0. */
  #mixed(name: string, exponent: number, share: number, keyOf: (step: number) => number): RequestTrace {
    const random = this.#random();
    const next = this.#zipf(exponent);
    let step = -1;
    return this.#trace(name, () => {
      if (random.next() >= share) return next();
      step += 1;
      return this.#scale.keyCount + keyOf(step);
    });
  }

  #trace(name: string, next: NextKey, sizes: "unit" | "mixed" = "unit"): RequestTrace {
    const { keyCount, requestCount } = this.#scale;
    const sizeByKey = sizes === "unit" ? this.#unitSizes : this.#mixedSizes;
    return {
      name,
      keys: Int32Array.from({ length: requestCount }, (_, request) => next(request)),
      sizes: sizeByKey,
      setBytes: sizeByKey.subarray(0, keyCount).reduce((sum, size) => sum + size, 0),
    };
  }

  #random(): Random {
    this.#seed += 1;
    return new SeededRandom(this.#seed);
  }

  #zipf(exponent: number): () => number {
    return zipfRanks(exponent, this.#scale.keyCount, this.#random());
  }

  /** The keys of the set, cut into objects of up to 512 chunks, evenly on a logarithmic scale. */
  #largeObjects(exponent: number): () => LargeObject {
    const random = this.#random();
    const objects: LargeObject[] = [];
    for (let firstKey = 0; firstKey < this.#scale.keyCount; ) {
      const chunkCount = Math.min(this.#scale.keyCount - firstKey, Math.floor(512 ** random.next()));
      objects.push({ firstKey, chunkCount });
      firstKey += chunkCount;
    }
    const next = zipfRanks(exponent, objects.length, this.#random());
    return () => objects[next()] as LargeObject;
  }
}

/** One after the other, because together they would be large. */
export function* requestTraces(scale: TraceScale): Generator<RequestTrace> {
  const maker = new TraceMaker(scale);
  for (const exponent of [0.8, 1, 1.2]) yield maker.zipf(exponent);
  for (const exponent of [0.8, 1, 1.2]) yield maker.zipf(exponent, "mixed");
  for (const exponent of [0.8, 1, 1.2]) yield maker.wonders(exponent, 0.3);
  for (const exponent of [0.8, 1, 1.2]) yield maker.scans(exponent, false);
  yield maker.scans(1, true);
  for (const setShare of [0.02, 0.05, 0.2]) yield maker.loop(setShare);
  for (const setShare of [0.005, 0.05]) yield maker.loopBesideZipf(0.3, setShare);
  yield maker.ranges();
  yield maker.footers();
  yield maker.streams(16, 0.8);
  yield maker.streams(16, 1);
  yield maker.streams(64, 1.2);
  yield maker.followers(0.5, 3, 0.002);
  yield maker.followers(0.5, 3, 0.01);
  yield maker.followers(0.5, 8, 0.001);
  for (const setShare of [0.001, 0.003, 0.005, 0.01, 0.02, 0.04]) yield maker.pairs(0.5, setShare);
  yield maker.pairs(0.2, 0.01);
  yield maker.pairs(0.9, 0.01);
  yield maker.pairs(0.5, 0.01, 0.8);
  for (const exponent of [0.8, 1, 1.2]) yield maker.shifting(exponent, 10);
  yield maker.shifting(1, 40);
  yield maker.shifting(1, 200);
  yield maker.drifting(1);
}
