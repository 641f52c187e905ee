/**
 * `/console` of the ops listener: a page for people, and the files that it consists of. The files are served as they
 * are, from a folder beside this module; the package has the same folder beside its code (.ci/build.mjs), with those of
 * uPlot in it. They hold no figures, so they need no token: the page asks `/figures`, `/cluster` and `/inspect`.
 *
 * The page may load and ask nothing but this listener, and holds no code or style of its own (CSP).
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { jsonPage, type OpsEndpoint } from "../ops-endpoint.ts";

const folder = new URL("./console-assets/", import.meta.url);

const headers = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

const files = [
  [
    "/console",
    "console.html",
    "text/html",
    "the page for people: what is served, from where, and what is wrong",
  ],
  ["/console/console.js", "console.js", "text/javascript", "a file of /console"],
  ["/console/panels.js", "panels.js", "text/javascript", "a file of /console"],
  ["/console/format.js", "format.js", "text/javascript", "a file of /console"],
  ["/console/actions.js", "actions.js", "text/javascript", "a file of /console"],
  ["/console/calls.js", "calls.js", "text/javascript", "a file of /console"],
  ["/console/warm.js", "warm.js", "text/javascript", "a file of /console"],
  ["/console/chart.js", "chart.js", "text/javascript", "a file of /console"],
  ["/console/console.css", "console.css", "text/css", "a file of /console"],
  ["/console/uplot.js", "uPlot.esm.js", "text/javascript", "a file of /console"],
  ["/console/uplot.css", "uPlot.min.css", "text/css", "a file of /console"],
] as const;

/** `hasToken`: there is a token that the actions of the page can have. */
export function consoleEndpoints(hasToken: boolean): OpsEndpoint[] {
  const tokenEndpoint: OpsEndpoint = {
    method: "GET",
    path: "/console/token.json",
    help: "a file of /console",
    isPublic: true,
    answer: async () => jsonPage(200, { configured: hasToken }),
  };
  const fileEndpoints = files.map(
    ([path, name, type, help]): OpsEndpoint => ({
      method: "GET",
      path,
      help,
      isPublic: true,
      answer: async () => ({
        status: 200,
        contentType: `${type}; charset=utf-8`,
        body: await readFile(placeOf(name), "utf8"),
        headers,
      }),
    }),
  );
  return [...fileEndpoints, tokenEndpoint];
}

/** In a checkout, uPlot's files lie in its own folder. */
function placeOf(name: string): URL | string {
  const ours = new URL(name, folder);
  return existsSync(ours) ? ours : createRequire(import.meta.url).resolve(`uplot/dist/${name}`);
}
