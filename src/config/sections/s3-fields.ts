/** The fields that say how an S3 service is reached, be it an origin or the cachestore. */
import { endpoint, flag, text } from "../codec.ts";
import { optional, setting } from "../field.ts";

export const s3Endpoint = optional(
  endpoint(),
  "Address of an S3 service other than AWS.",
  "Set it for Ceph RGW, MinIO and other S3 services. Leave it out for AWS.",
);

export const s3Signing = {
  region: setting(
    text(/^[\w-]+$/, "a region such as eu-central-1"),
    "us-east-1",
    "Region for which requests are signed.",
    "Set it to the bucket's region. A service other than AWS documents which region it expects.",
  ),
  use_path_style: setting(
    flag(),
    "false",
    "Names the bucket in the path instead of the host name.",
    "`true` for most S3 services other than AWS.",
  ),
};
