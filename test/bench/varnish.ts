/**
 * Varnish in front of the bench origin, all in memory: 3 GiB, as much as Orca has. It has no slices: an object is cached
 * whole, and a range that misses brings the whole object, so that only what it serves once warm, and a cold stream from
 * the first byte to the last, compare. Tuned for one core: one thread pool that is filled beforehand, and no log of
 * requests, as nobody else keeps one; grace and all else are its defaults.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Contender, folderForAnyUser, freePort, start } from "./contender.ts";

const command = "/usr/sbin/varnishd";

/** What it writes of a request into its shared memory, masked tag by tag: version 7.1 has no word for all of them. */
const requestLogTags =
  "Begin End Link SessOpen SessClose Timestamp Hit ReqAcct ReqStart ReqMethod ReqURL ReqProtocol ReqHeader ReqUnset " +
  "RespProtocol RespStatus RespReason RespHeader RespUnset VCL_call VCL_return VCL_use";

const parameters = [
  "thread_pools=1",
  "thread_pool_min=250",
  "thread_pool_max=1000",
  "timeout_idle=600",
  "http_range_support=on",
  "http_gzip_support=off",
  `vsl_mask=${requestLogTags.replaceAll(/\w+/g, "-$&").replaceAll(" ", ",")}`,
];

/** In the foreground, without its command line interface, all in memory. */
const options = ["-F", "-T", "none", "-s", "malloc,3g", ...parameters.flatMap((each) => ["-p", each])];

/** Undefined where it is not installed. Keeps everything in `folder`. */
export async function startVarnish(originPort: number, folder: string): Promise<Contender | undefined> {
  if (!existsSync(command)) return undefined;
  const port = await freePort();
  folderForAnyUser(folder);
  const config = join(folder, "bench.vcl");
  writeFileSync(
    config,
    `vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "${originPort}"; }
sub vcl_recv { unset req.http.Cookie; return (hash); }
sub vcl_backend_response { unset beresp.http.Set-Cookie; set beresp.ttl = 1d; return (deliver); }
`,
  );
  return start({
    name: "varnish",
    port,
    command,
    args: [...options, "-n", join(folder, "work"), "-a", `127.0.0.1:${port}`, "-f", config],
    outputFile: join(folder, "output.txt"),
  });
}
