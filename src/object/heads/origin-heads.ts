/**
 * An origin as a source of metadata. A question that says which bytes its client wants first is asked as an opening
 * (origin/opening/): one GET that brings metadata and bytes. All others are HEADs: those that want no bytes, those whose
 * bytes a tier holds, and those that an opening cannot answer, because the object ends before the bytes wanted and the
 * origin then tells nothing else about it. Where the last version seen ended before them, the HEAD comes first, and while
 * memory is short as well: bytes without a place would be fetched for nothing.
 */
import { OrcaError } from "../../base/orca-error.ts";
import type { ChunkTier } from "../../chunk/chunk-layout.ts";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type {
  BodyPlace,
  FirstBytes,
  ObjectHead,
  ObjectLocation,
  Opening,
  OriginHead,
} from "../../origin/origin.ts";
import type { Asker } from "../../trace/trace.ts";
import { versionOf } from "../object-record.ts";
import { Absence } from "../versions/absence.ts";
import type { HeadAnswer, HeadQuestion, HeadSource } from "./head-source.ts";
import { placeOfLastBytes, startOfBytes } from "./last-bytes.ts";
import { OpeningGate } from "./opening-gate.ts";

/** The flights of this replica, as a place for the bytes of openings. */
export interface FirstBytesPlaces {
  /** Whether no tier holds bytes that an earlier run has fetched. Undefined until a disk's scan has ended. */
  readonly wereEmpty: boolean | undefined;

  /** Whether bytes find memory at once. A hint. */
  readonly hasRoom: boolean;

  /** Whether a tier holds the byte at `offset`, or a flight brings it. A hint. */
  holds(version: ObjectVersion, offset: number): boolean;

  /** Undefined where the bytes have no place now: they are held, or there is no memory. */
  receive(version: ObjectVersion, offset: number, lengthBytes: number, asker?: Asker): BodyPlace | undefined;
}

export interface OpeningParts {
  readonly places: FirstBytesPlaces;
  readonly chunkTiers: readonly ChunkTier[];
}

type OriginForHeads = Pick<GuardedOrigin, "id" | "head"> & Partial<Pick<GuardedOrigin, "opens" | "open">>;

export class OriginHeads implements HeadSource {
  readonly id: string;
  readonly isOrigin = true;
  readonly #origin: OriginForHeads;
  readonly #opening: OpeningParts | undefined;
  /** Made when it is known what the tiers hold. */
  #gate: OpeningGate | undefined;

  /** Without `opening`, each question is a HEAD. */
  constructor(origin: OriginForHeads, opening?: OpeningParts) {
    this.id = origin.id;
    this.#origin = origin;
    this.#opening = opening;
  }

  /** Ignores the ETags of the question: an origin has no cache that they could correct. */
  async head(location: ObjectLocation, question?: Partial<HeadQuestion>): Promise<HeadAnswer> {
    return { head: await this.#ask(location, question), remainingMs: undefined };
  }

  /** @see HeadSource.wouldOpen */
  wouldOpen(
    location: ObjectLocation,
    firstBytes: FirstBytes | undefined,
    lastVersion: ObjectVersion | undefined,
  ): boolean {
    const opening = this.#openingFor(location, firstBytes);
    return (
      opening !== undefined &&
      firstBytes !== undefined &&
      this.#isWorthOpening(opening, lastVersion, firstBytes) &&
      this.#gateOf(opening)?.isOpen === true
    );
  }

  async #ask(
    location: ObjectLocation,
    { asker, firstBytes, lastVersion }: Partial<HeadQuestion> = {},
  ): Promise<ObjectHead | OrcaError> {
    try {
      const opening = this.#openingFor(location, firstBytes);
      if (!opening || !firstBytes) return knownOf(location, await this.#origin.head(location, asker));
      const gate = this.#gateOf(opening);
      if (gate?.isOpen && this.#isWorthOpening(opening, lastVersion, firstBytes)) {
        const opened = await this.#open(location, firstBytes, opening, asker);
        if (opened) return opened;
      }
      const head = await this.#origin.head(location, asker);
      gate?.looked(false, this.#isHeld(opening, location, head, firstBytes));
      return knownOf(location, head);
    } catch (thrown) {
      if (thrown instanceof OrcaError && thrown.isLasting) return thrown;
      throw thrown;
    }
  }

  /** Undefined where these bytes are never asked for by an opening. */
  #openingFor(location: ObjectLocation, firstBytes: FirstBytes | undefined): OpeningParts | undefined {
    const opens = firstBytes !== undefined && this.#origin.opens?.(firstBytes);
    return opens && location.versionId === undefined ? this.#opening : undefined;
  }

  /** Of an object that ends before the bytes wanted an opening would tell nothing, and held bytes would come again. */
  #isWorthOpening(
    { places }: OpeningParts,
    lastVersion: ObjectVersion | undefined,
    firstBytes: FirstBytes,
  ): boolean {
    if (!places.hasRoom) return false;
    if (lastVersion === undefined) return true;
    const offset = startOfBytes(firstBytes, lastVersion);
    return offset < lastVersion.sizeBytes && !places.holds(lastVersion, offset);
  }

  /** Undefined until it is known what the tiers hold: each question is a HEAD then. */
  #gateOf({ places: { wereEmpty } }: OpeningParts): OpeningGate | undefined {
    if (wereEmpty !== undefined) this.#gate ??= new OpeningGate(wereEmpty);
    return this.#gate;
  }

  /** Undefined where only a HEAD tells more. */
  async #open(
    location: ObjectLocation,
    firstBytes: FirstBytes,
    { places, chunkTiers }: OpeningParts,
    asker: Asker | undefined,
  ): Promise<ObjectHead | OrcaError | undefined> {
    const receive = (opening: Opening): BodyPlace | undefined => {
      const version = versionOf(this.id, location, opening.head, chunkTiers);
      const start = startOfBytes(firstBytes, version);
      const isHeld = places.holds(version, start);
      this.#gate?.looked(true, isHeld);
      if (isHeld) return undefined;
      if (firstBytes.lastBytes !== undefined)
        return placeOfLastBytes(places, version, opening.offset, start, asker);
      return places.receive(version, start, opening.lengthBytes, asker);
    };
    const request = { ...location, ...firstBytes, ...(asker && { requestId: asker.requestId }) };
    const answer = await this.#origin.open?.(request, receive, asker).catch(untold);
    if (answer?.outcome === "opened") return answer.head;
    return answer?.outcome === "absent" ? Absence.of(location, answer.marker ?? undefined) : undefined;
  }

  #isHeld(
    { places, chunkTiers }: OpeningParts,
    location: ObjectLocation,
    head: OriginHead,
    firstBytes: FirstBytes,
  ): boolean {
    if (head === null || "kind" in head) return false;
    const version = versionOf(this.id, location, head, chunkTiers);
    const offset = startOfBytes(firstBytes, version);
    return offset < version.sizeBytes && places.holds(version, offset);
  }
}

function knownOf(location: ObjectLocation, head: OriginHead): ObjectHead | OrcaError {
  if (head === null) return Absence.of(location);
  return "kind" in head ? Absence.of(location, head) : head;
}

/**
 * An origin may answer a range in a way that nothing can be read from, or deny the bytes of an archived object. Neither is
 * a fact about the object, and a HEAD tells more.
 */
function untold(thrown: unknown): undefined {
  if (
    thrown instanceof OrcaError &&
    (thrown.code === "origin_unsupported" || thrown.code === "origin_denied")
  )
    return;
  throw thrown;
}
