/**
 * nginx as a slicing cache, in front of the bench origin: slices of 8 MiB, as large as Orca's chunks. Tuned as one who
 * knows it would: one worker for the one core, `tcp_nopush off` (else ranges show a 40 ms artefact), open files cached,
 * connections to clients and origin kept, no access log. Hits come from its disk cache, which is to say from the
 * kernel's page cache.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Contender, folderForAnyUser, freePort, start } from "./contender.ts";

const command = "/usr/sbin/nginx";

/** Undefined where it is not installed. Keeps everything in `folder`. */
export async function startNginx(originPort: number, folder: string): Promise<Contender | undefined> {
  if (!existsSync(command)) return undefined;
  const port = await freePort();
  folderForAnyUser(folder);
  const cache = folderForAnyUser(join(folder, "cache"));
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log /dev/null crit;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  open_file_cache max=10000 inactive=600s; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/cache-temp;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  proxy_cache_path ${cache} levels=1:2 keys_zone=bench:64m max_size=64g inactive=24h use_temp_path=off;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      slice 8m; proxy_cache bench; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache_valid 200 206 24h;
      proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_pass http://origin;
    }
  }
}
`,
  );
  return start({ name: "nginx", port, command, args: ["-c", config, "-e", "/dev/null", "-p", folder] });
}
