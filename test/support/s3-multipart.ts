/** Puts an object in parts, whose ETag is then not the MD5 of its bytes. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";

export async function putInParts(
  client: S3Client,
  object: {
    readonly bucket: string;
    readonly key: string;
    readonly body: Uint8Array;
    readonly partSizeBytes: number;
  },
): Promise<void> {
  const where = { Bucket: object.bucket, Key: object.key };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(where));
  const parts: { ETag: string | undefined; PartNumber: number }[] = [];
  for (let start = 0; start < object.body.length; start += object.partSizeBytes) {
    const part = { ...where, UploadId, PartNumber: parts.length + 1 };
    const body = object.body.subarray(start, start + object.partSizeBytes);
    const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: body }));
    parts.push({ ETag, PartNumber: part.PartNumber });
  }
  await client.send(
    new CompleteMultipartUploadCommand({ ...where, UploadId, MultipartUpload: { Parts: parts } }),
  );
}
