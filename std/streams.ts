// npm's build of @std/streams ships no types; this wrapper adds them. With JSR at hand,
// map "@std/streams" to jsr:@std/streams in deno.json and delete this folder.
// @ts-types="./streams.d.ts"
export * from "deno-std/streams/mod.js";
