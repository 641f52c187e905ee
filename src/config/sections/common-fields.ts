/**
 * The codecs and fields that several sections use: bounds of durations, ids, and how an S3 service is reached, be it an
 * origin or the cachestore.
 */
import { duration, endpoint, flag, text } from "../codec.ts";
import { optional, setting } from "../field.ts";

/** A deadline: node's timers hold no more than 24 days, and a deadline of 0 would fail every operation. */
export const deadline = duration({ min: "1ms", max: "24h" });
/** As a deadline, but 0 has a meaning of its own. */
export const wait = duration({ max: "24h" });
/** How long Orca may trust what it knows. */
export const age = duration({ max: "87600h" });
/** Ids are segments of paths in every store. */
export const id = text(/^(?!\.{1,2}$)[\w.-]{1,64}$/, "1 to 64 of the characters A-Z a-z 0-9 . _ -");

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
