/** The S3 driver on Ceph RGW where that is installed; elsewhere on the stand-in, and the suite's name says so. */
import { rgwAvailable, startRgw } from "../support/rgw.ts";
import { openS3Fixture, s3Traits, startSignedS3Server } from "../support/s3-fixture.ts";
import { originContract } from "./origin.ts";

const [name, start] = rgwAvailable()
  ? (["S3Origin on Ceph RGW", startRgw] as const)
  : (["S3Origin on the in-repo S3 server, for want of radosgw on the PATH", startSignedS3Server] as const);

originContract(name, s3Traits, async () => openS3Fixture(await start()));
