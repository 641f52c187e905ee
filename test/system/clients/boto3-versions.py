"""Lists the versions of the bucket in the environment, two a page, and reads each: KEY ID KIND SIZE-OR-STATUS, a line each."""

import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
)
bucket = os.environ["BUCKET"]
pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
for page in pages:
    for kind in ("Versions", "DeleteMarkers"):
        for each in page.get(kind, []):
            version = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
            try:
                told = len(s3.get_object(**version)["Body"].read())
            except ClientError as error:
                told = error.response["Error"]["Code"]
            print(each["Key"], each["VersionId"], kind, told)
