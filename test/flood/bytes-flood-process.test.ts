/** The attacks on the mesh that do not need its other methods, on the port where threads send chunks. */
import { chunkStreamsUnread, connectionAssaults } from "./mesh-assaults.ts";
import { type Assault, siege } from "./siege.ts";

const assaults: readonly Assault[] = [
  ...connectionAssaults,
  // A method that the port does not have is no failed call.
  { attack: "mesh: malformed messages" },
  chunkStreamsUnread,
];

siege("BytesPort: attacks of members and strangers leave a replica as it was", assaults, {
  hasBytesPort: true,
});
