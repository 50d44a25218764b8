// npm's build of @std/assert ships no types; this wrapper adds them.
// @ts-types="./assert.d.ts"
export * from "deno-std/assert/mod.js";
