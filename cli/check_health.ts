// The container's health check: ends with 0 where requests are taken. node:http, since fetch() would ask a proxy.
import { get } from "node:http";

const port = Deno.env.get("CHORUS_PORT") || "8000";
get(`http://127.0.0.1:${port}/health`, ({ statusCode }) => Deno.exit(statusCode === 200 ? 0 : 1))
  .on("error", () => Deno.exit(1));
