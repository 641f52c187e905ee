/**
 * The server side of metadata. If a page of a listing is too large for a message, this service asks for it again with
 * half as many keys. S3 allows a page to hold fewer keys than the request asked for, and the caller continues from its
 * token. Only a thousand keys of a kilobyte each are that large, so the extra requests to the origin are rare.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { ListingTurns } from "../../object/listing-turns.ts";
import type { ObjectAnswers, PeerListAnswer, PeerListRequest } from "../../object/object-peers.ts";
import {
  decodeHeadRequest,
  decodeListRequest,
  decodeObject,
  encodeHeadAnswer,
  encodeListAnswer,
  pageBytes,
} from "../codec/object-codec.ts";
import { decodePartRequest, encodePartAnswer } from "../codec/part-codec.ts";
import { messageBytesMax } from "../session/http2-limits.ts";
import { type PeerRequestIds, traceHeaders } from "../session/peer-request-ids.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

/** Without `requestIds`, requests have no id. */
export function routeObjects(
  router: ConnectRouter,
  objects: ObjectAnswers,
  calls: ServiceCalls,
  requestIds?: PeerRequestIds,
): void {
  const turns = new ListingTurns();
  router.service(ObjectService, {
    headObject: (request, { requestHeader }) =>
      calls.answer(async () => {
        const [sentId, ...context] = traceHeaders.map((name) => requestHeader.get(name));
        const requestId = requestIds?.of(sentId, ...context);
        const id = requestId !== undefined && { requestId };
        if (request.part) {
          const asked = decodePartRequest(decodeObject(request.object), request.part);
          return encodePartAnswer(await objects.part({ ...asked, ...id }));
        }
        const asked = decodeHeadRequest(request);
        return encodeHeadAnswer(await objects.head({ ...asked, ...id }), asked.location);
      }, request.object && { object: request.object }),
    listObjects: (request) =>
      calls.answer(
        async () => {
          const asked = decodeListRequest(request);
          const answer = await listWithin(objects, asked);
          await turns.next();
          return encodeListAnswer(answer, asked.request);
        },
        { object: { originId: request.originId, bucket: request.bucket, objectKey: request.prefix } },
      ),
    invalidate: (request) =>
      calls.answer(() => ({ invalidationId: objects.invalidate(decodeObject(request.object)) })),
  });
}

async function listWithin(
  objects: ObjectAnswers,
  { originId, request }: PeerListRequest,
): Promise<PeerListAnswer> {
  for (let { maxKeys } = request; ; maxKeys = Math.ceil(maxKeys / 2)) {
    const answer = await objects.list({ originId, request: { ...request, maxKeys } });
    const bytes = pageBytes(answer.page);
    if (bytes <= messageBytesMax) return answer;
    if (maxKeys === 1) {
      throw new OrcaError(
        "internal",
        "mesh",
        `Cannot answer with a page of "${request.prefix}": one key of it takes ${bytes} bytes`,
      );
    }
  }
}
