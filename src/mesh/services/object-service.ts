/**
 * The answering side of metadata. A page of a listing that is too large for a message is asked for again with half as
 * many keys: S3 lets a page hold fewer keys than were asked for, and the caller goes on from its token as ever. It takes
 * a thousand keys of a kilobyte each, so it costs the origin a request or two more where hardly anybody is.
 */
import type { ConnectRouter } from "@connectrpc/connect";
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { ObjectAnswers, PeerListAnswer, PeerListRequest } from "../../object/object-peers.ts";
import {
  decodeHeadRequest,
  decodeListRequest,
  decodeObject,
  encodeHeadAnswer,
  encodeListAnswer,
  pageBytes,
} from "../codec/object-codec.ts";
import { messageBytesMax } from "../session/message-limits.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

export function routeObjects(router: ConnectRouter, objects: ObjectAnswers, calls: ServiceCalls): void {
  router.service(ObjectService, {
    headObject: (request) =>
      calls.answer(
        async () => encodeHeadAnswer(await objects.head(decodeHeadRequest(request))),
        request.object && { object: request.object },
      ),
    listObjects: (request) =>
      calls.answer(async () => encodeListAnswer(await listWithin(objects, decodeListRequest(request))), {
        object: { originId: request.originId, bucket: request.bucket, objectKey: request.prefix },
      }),
    invalidate: (request) =>
      calls.answer(() => ({ invalidationId: objects.invalidate(decodeObject(request.object)) })),
  });
}

async function listWithin(objects: ObjectAnswers, asked: PeerListRequest): Promise<PeerListAnswer> {
  const { originId, request } = asked;
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
