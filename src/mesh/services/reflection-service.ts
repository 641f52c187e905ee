/**
 * Serves the schema of the mesh, so that `buf curl` and grpcurl can call a replica, and show the details of its errors,
 * without a copy of proto/. The protocol is gRPC Server Reflection (https://grpc.io/docs/guides/reflection/). The
 * schema is compiled in, and every client gets the same one.
 */
import type { DescFile, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { CacheService } from "../../../gen/orca/v1/cache_pb.ts";
import { file_orca_v1_errors } from "../../../gen/orca/v1/errors_pb.ts";
import { FillService } from "../../../gen/orca/v1/fill_pb.ts";
import { MembershipService } from "../../../gen/orca/v1/membership_pb.ts";
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { fileDescriptors, SchemaIndex } from "./schema-index.ts";

type Response = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Answer = NonNullable<Response["messageResponse"]>;

const services = [CacheService, FillService, MembershipService, ObjectService, ServerReflection] as const;

/** The files of the services under their current names, and the details of errors, which no service's file imports. */
const files: readonly DescFile[] = [...services.map(({ file }) => file), file_orca_v1_errors];

/** The former name of the service, with the same messages, byte for byte. Older tools know only this name. */
const alphaTypeName = "grpc.reflection.v1alpha.ServerReflection";

/** Limits of one stream. A tool asks for a handful of files. */
const requestsMax = 1000;
const nameLengthMax = 512;

export class ReflectionService {
  readonly stats = { requests: 0, unanswered: 0 };
  readonly #index = new SchemaIndex(files);

  /** Registers the service under both of its names. */
  route(router: ConnectRouter): void {
    const method = ServerReflection.method.serverReflectionInfo;
    const answer = (requests: AsyncIterable<ServerReflectionRequest>) => this.#answerAll(requests);
    router.rpc(method, answer);
    router.rpc({ ...method, parent: { ...ServerReflection, typeName: alphaTypeName } }, answer);
  }

  async *#answerAll(requests: AsyncIterable<ServerReflectionRequest>): AsyncGenerator<Response> {
    let count = 0;
    for await (const { host, messageRequest } of requests) {
      count += 1;
      if (count > requestsMax) throw rejected(`one stream has more than ${requestsMax} requests`);
      const { length } = messageRequest.value ?? "";
      if (Math.max(length, host.length) > nameLengthMax) {
        throw rejected(`a name is longer than ${nameLengthMax} characters`);
      }
      this.stats.requests += 1;
      const messageResponse = this.#answer(messageRequest);
      if (messageResponse.case === "errorResponse") this.stats.unanswered += 1;
      yield { validHost: host, originalRequest: { host, messageRequest }, messageResponse };
    }
  }

  #answer({ case: kind, value }: ServerReflectionRequest["messageRequest"]): Answer {
    switch (kind) {
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        };
      case "fileByFilename":
        return fileAnswer(this.#index.fileByName(value), value);
      case "fileContainingSymbol":
        return fileAnswer(this.#index.fileBySymbol(value), value);
      default:
        return errorAnswer(Code.Unimplemented, "this kind of request is unknown to this server");
    }
  }
}

function fileAnswer(file: DescFile | undefined, name: string): Answer {
  if (!file) return errorAnswer(Code.NotFound, `"${name}" is in no schema file of this server`);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: fileDescriptors(file) } };
}

function errorAnswer(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

function rejected(reason: string): ConnectError {
  return new ConnectError(`Cannot answer a request for the schema: ${reason}`, Code.ResourceExhausted);
}
