"""list PREFIX | head KEY | read KEY FILE | range KEY FIRST LAST FILE, of the bucket and the endpoint in the environment."""

import os
import sys

import boto3
from botocore.config import Config

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
)
bucket = os.environ["BUCKET"]
action, name, *rest = sys.argv[1:]

if action == "list":
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=name, Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    for page in pages:
        for each in page.get("CommonPrefixes", []):
            print(each["Prefix"][len(name) :])
        for each in page.get("Contents", []):
            print(each["Key"][len(name) :])
elif action == "head":
    print(s3.head_object(Bucket=bucket, Key=name)["ContentLength"])
elif action == "read":
    s3.download_file(bucket, name, rest[0])
elif action == "range":
    first, last, file = rest
    body = s3.get_object(Bucket=bucket, Key=name, Range=f"bytes={first}-{last}")["Body"]
    with open(file, "wb") as target:
        target.write(body.read())
