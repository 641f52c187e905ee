"""list PREFIX | head KEY | read KEY FILE | range KEY FIRST LAST FILE, through GDAL's /vsis3 and the bucket in the environment."""

import os
import sys

from osgeo import gdal

gdal.UseExceptions()
action, name, *rest = sys.argv[1:]
path = f"/vsis3/{os.environ['BUCKET']}/{name}"


def size():
    # To open asks for nothing yet. GDAL prints why it fails, unless there is nothing.
    stat = gdal.VSIStatL(path, gdal.VSI_STAT_EXISTS_FLAG | gdal.VSI_STAT_SIZE_FLAG | gdal.VSI_STAT_SET_ERROR_FLAG)
    return stat.size if stat else sys.exit("cannot stat")


if action == "list":
    for each in gdal.ReadDir(path.rstrip("/")) or sys.exit("cannot list"):
        print(each)
elif action == "head":
    print(size())
else:
    first, last = (int(rest[0]), int(rest[1])) if action == "range" else (0, size() - 1)
    handle = gdal.VSIFOpenL(path, "rb")
    gdal.VSIFSeekL(handle, first, os.SEEK_SET)
    with open(rest[-1], "wb") as target:
        target.write(gdal.VSIFReadL(1, last + 1 - first, handle) or b"")
