/**
 * Apache Traffic Server in front of the bench origin: one net thread for the one core, 3 GiB of RAM cache before a cache
 * file. Tuned to take part in full: objects of any size may enter the RAM cache, and at their first hit; an object needs
 * no Cache-Control to be cached (the origin sends none) and stays for a day; no logs. Like Varnish it caches whole
 * objects and answers ranges out of them; a range that misses is passed on and not cached.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Contender, folderForAnyUser, freePort, start } from "./contender.ts";

const command = "/usr/bin/traffic_server";

function recordsConfig(port: number): string {
  const records = {
    "http.server_ports": `STRING ${port}:ip-in=127.0.0.1`,
    // It refuses to serve as root, and the package's own user has another name from one distribution to the next.
    "admin.user_id": "STRING nobody",
    crash_log_helper: "STRING NULL",
    "log.logging_enabled": "INT 0",
    "exec_thread.autoconfig": "INT 0",
    "exec_thread.limit": "INT 1",
    "http.wait_for_cache": "INT 1",
    "http.cache.required_headers": "INT 0",
    "http.keep_alive_no_activity_timeout_in": "INT 600",
    "url_remap.remap_required": "INT 1",
    "cache.ram_cache.size": "INT 3G",
    "cache.ram_cache_cutoff": "INT 3G",
    "cache.ram_cache.use_seen_filter": "INT 0",
  };
  return Object.entries(records)
    .map(([name, value]) => `CONFIG proxy.config.${name} ${value}\n`)
    .join("");
}

/** Undefined where it is not installed. Keeps everything in `folder`. */
export async function startTrafficServer(originPort: number, folder: string): Promise<Contender | undefined> {
  if (!existsSync(command)) return undefined;
  const port = await freePort();
  folderForAnyUser(folder);
  const subfolder = (name: string): string => folderForAnyUser(join(folder, name));
  const layout = {
    prefix: folder,
    sysconfdir: subfolder("config"),
    localstatedir: subfolder("state"),
    runtimedir: subfolder("state"),
    logdir: subfolder("logs"),
    cachedir: subfolder("cache"),
  };
  // What the layout leaves out stays where the package has it. JSON is YAML.
  writeFileSync(join(folder, "runroot.yaml"), JSON.stringify(layout));
  const files = {
    "records.config": recordsConfig(port),
    "remap.config": `map / http://127.0.0.1:${originPort}/\n`,
    "cache.config": "url_regex=.* ttl-in-cache=1d\n",
    "storage.config": `${layout.cachedir} 16G\n`,
    "ip_allow.yaml": "ip_allow: [{ apply: in, ip_addrs: 127.0.0.1, action: allow, methods: ALL }]\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(layout.sysconfdir, name), text);
  return start({
    name: "traffic server",
    port,
    command,
    args: [],
    env: { TS_RUNROOT: folder },
    outputFile: join(folder, "output.txt"),
  });
}
