import { assert, assertEquals } from "@std/assert";
import { openEdge, strictly } from "./edge_fixture.ts";

interface Document {
  readonly openapi: string;
  readonly security: unknown[];
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { schemas: Record<string, unknown>; securitySchemes: unknown };
}
interface Operation {
  readonly summary: string;
  readonly responses: Record<string, { content: Record<string, unknown> }>;
}

async function openApi(apiKeys: string[] = []): Promise<Document> {
  const response = await openEdge(undefined, { apiKeys }).app.request("/openapi.json");
  assertEquals(response.status, 200);
  return await response.json();
}

strictly("the OpenAPI 3.1 document has every endpoint, with its failures", async () => {
  const document = await openApi();
  assertEquals(document.openapi, "3.1.0");
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      `${method} ${path} ${Object.keys(operation.responses).join(" ")}`
    )
  );
  assertEquals(operations.toSorted(), [
    "get /health 200 503",
    "get /metrics 200",
    "get /v1/models 200 401",
    "get /v1/models/{model} 200 401 404 503",
    "post /v1/chat/completions 200 400 401 404 413 415 429 500 503",
    "post /v1/completions 200 400 401 404 413 415 429 500 503",
  ]);
  const chat = document.paths["/v1/chat/completions"]?.post?.responses["200"];
  assertEquals(Object.keys(chat?.content ?? {}), ["application/json", "text/event-stream"]);
});

strictly("every reference of the document leads somewhere", async () => {
  const document = await openApi();
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
  assert(references.length > 10);
  for (const [, path = ""] of references) {
    const found = path.split("/").reduce<unknown>(
      (node, key) => (node as Record<string, unknown> | undefined)?.[key],
      document,
    );
    assert(found !== undefined, path);
  }
});

strictly("the document asks for a key where the server does", async () => {
  assertEquals((await openApi()).security, []);
  const document = await openApi(["key"]);
  assertEquals(document.security, [{ ApiKey: [] }]);
  assertEquals(document.components.securitySchemes, { ApiKey: { type: "http", scheme: "bearer" } });
});

strictly("the docs page and all that it loads come from this server", async () => {
  const { app } = openEdge();
  const page = await app.request("/docs");
  assert(page.headers.get("content-security-policy")?.startsWith("default-src 'self'"));
  const html = await page.text();
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = ""]) => link);
  assertEquals(links, ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/start.js"]);
  const sizes: number[] = [];
  for (const link of links) {
    const response = await app.request(link);
    assertEquals(response.status, 200);
    sizes.push((await response.bytes()).length);
  }
  assert((sizes[0] ?? 0) > 50_000 && (sizes[1] ?? 0) > 500_000, `${sizes}`);
});
