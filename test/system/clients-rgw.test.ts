/** Clients that people use, through Orca, on Ceph RGW. */
import { clientsOn } from "./clients/client-suite.ts";
import { seededRgw } from "./clients/guarded-replica.ts";
import { radosgw, suiteWith } from "./installed.ts";

suiteWith(radosgw, "clients on Ceph RGW", () => clientsOn("Ceph RGW", seededRgw));
