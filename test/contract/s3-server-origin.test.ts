/** The S3 driver on the in-repo S3 server, which must be as good an origin as RGW is. */
import { openS3Fixture, s3Traits, startSignedS3Server } from "../support/s3-fixture.ts";
import { originContract } from "./origin.ts";

originContract("S3Origin on the in-repo S3 server", s3Traits, async () =>
  openS3Fixture(await startSignedS3Server()),
);
