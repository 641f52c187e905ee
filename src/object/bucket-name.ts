/**
 * The names that buckets may have where clients name them, for `origin.buckets: {"*"}`. A name that the rules forbid never
 * reaches the origin: S3 takes some for something else (an access point, a directory bucket), and a file system for a path.
 * Older buckets and containers with other names can be named in the settings.
 */

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const shape = /^(?=.{3,63}$)[a-z0-9](?:[a-z0-9-]|\.(?!\.))*[a-z0-9]$/;
const address = /^\d+\.\d+\.\d+\.\d+$/;
const reserved = /^(?:xn--|sthree-|amzn-s3-demo-)|(?:-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/;

export function isBucketName(name: string): boolean {
  return shape.test(name) && !address.test(name) && !reserved.test(name);
}

/** https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata */
export function isContainerName(name: string): boolean {
  return isBucketName(name) && !name.includes(".") && !name.includes("--");
}
