import type { EdgeApp } from "./edge.ts";

const ABOUT = {
  openapi: "3.1.0",
  info: {
    title: "Chorus",
    version: "0.1.0",
    description: "One base model and its LoRA adapters behind OpenAI's API.",
  },
};
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Chorus: API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;
const START = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs" });\n`;
const ASSETS = [
  ["swagger-ui.css", "text/css; charset=utf-8"],
  ["swagger-ui-bundle.js", "text/javascript; charset=utf-8"],
] as const;

// The browser itself keeps the page from asking anyone else for anything.
const POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/** GET /openapi.json, and GET /docs, which shows it with Swagger UI from node_modules. */
export function docs(app: EdgeApp, options: { readonly authenticated: boolean }): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "ApiKey", {
    type: "http",
    scheme: "bearer",
  });
  const security = options.authenticated ? [{ ApiKey: [] }] : [];
  app.get("/openapi.json", (c) => c.json(app.getOpenAPI31Document({ ...ABOUT, security })));
  app.get("/docs", (c) => c.html(PAGE, 200, { "content-security-policy": POLICY }));
  app.get("/docs/start.js", (c) => c.body(START, 200, { "content-type": "text/javascript" }));
  for (const [name, type] of ASSETS) {
    let file: Promise<Uint8Array<ArrayBuffer>> | null = null;
    app.get(`/docs/${name}`, async (c) => {
      file ??= Deno.readFile(new URL(import.meta.resolve(`swagger-ui-dist/${name}`)));
      const headers = { "content-type": type, "cache-control": "public, max-age=86400" };
      return c.body(await file, 200, headers);
    });
  }
}
