import { assertEquals, assertThrows } from "@std/assert";
import { CommanderError } from "commander";
import fc from "fast-check";
import { ConfigError, parseConfig, variableOf } from "../../cli/config.ts";

const parse = (args: readonly string[], variables: Record<string, string> = {}) =>
  parseConfig(args, new Map(Object.entries(variables)));

Deno.test("parseConfig() needs nothing", () => {
  const config = parse([]);
  assertEquals([config.host, config.port, config.gpu], ["127.0.0.1", 8000, "builtin"]);
  assertEquals([config.model, config.poolBytes, config.apiKey], [undefined, undefined, undefined]);
});

Deno.test("parseConfig() takes a flag before its variable, and the variable before the default", () => {
  const variables = { CHORUS_MAX_MODEL_LEN: "100", CHORUS_HOST: "::1", CHORUS_PORT: "" };
  const config = parse(["--max-model-len", "200"], variables);
  assertEquals([config.maxModelLen, config.host, config.port], [200, "::1", 8000]);
});

Deno.test("parseConfig() takes every element type that weights may have", () => {
  for (const dtype of ["auto", "f16", "bf16", "int8"] as const) {
    assertEquals(parse(["--dtype", dtype]).dtype, dtype);
  }
});

Deno.test("parseConfig() reads bytes with decimal and binary units", () => {
  const cases = {
    "4096": 4096,
    "16b": 16,
    "4KiB": 4096,
    "4k": 4096,
    "1.5GiB": 1.5 * 2 ** 30,
    "40GB": 40e9,
    "2 tb": 2e12,
    "1T": 2 ** 40,
  };
  for (const [text, expected] of Object.entries(cases)) {
    assertEquals(parse(["--pool-bytes", text]).poolBytes, expected, text);
  }
});

Deno.test("parseConfig() names the option, the value and what was expected", () => {
  const cases: [string, string, string][] = [
    ["port", "65536", "expected at most 65535"],
    ["port", "8e3", "expected a whole number"],
    ["max-running", "0", "expected at least 1"],
    ["max-batch-tokens", "-5", "expected a whole number"],
    ["max-batch-tokens", "32", "expected at least --max-running, 64"],
    ["pool-bytes", "lots", "expected a number of bytes such as 512MiB or 40GB"],
    ["gpu", "cuda", "expected auto, builtin or dawn"],
    ["dtype", "int4", "expected auto, f16, bf16 or int8"],
    ["adapter-host-bytes", "0", "expected at least 1 byte"],
    ["adapter-load-timeout", "0", "expected more than 0 seconds"],
    ["upload-bytes-per-step", "1k", "expected at least 64KiB"],
    ["policy", "fifo", "expected names out of fcfs, priority, vtc, abort, cluster"],
    ["policy", "vtc,vtc", "expected each name once"],
    ["over-commit", "0.5", "expected at least 1"],
    ["over-commit", "none", "expected auto or a number such as 1.5"],
    ["slo-seconds", "0", "expected more than 0 seconds"],
    ["token-prices", "1", "expected two numbers such as 1,2"],
    ["adapter-weights", "upper=", "expected names and weights above 0 such as upper=2,lower=0.5"],
    ["adapter-weights", "upper=0", "expected names and weights above 0 such as upper=2,lower=0.5"],
    ["drain-seconds", "soon", "expected a number of seconds"],
  ];
  for (const [name, value, why] of cases) {
    const received = `received ${JSON.stringify(value)}`;
    assertThrows(
      () => parse([`--${name}=${value}`]),
      ConfigError,
      `Cannot use --${name}: ${why}, ${received}`,
    );
    const variable = `CHORUS_${name.toUpperCase().replaceAll("-", "_")}`;
    assertThrows(
      () => parse([], { [variable]: value }),
      ConfigError,
      `Cannot use ${variable}: ${why}, ${received}`,
    );
  }
});

Deno.test("parseConfig() reads policies in their order, token prices and adapters' weights", () => {
  const config = parse(["--policy", "vtc, abort,cluster", "--token-prices", "0.5,3"]);
  assertEquals(config.policy, ["vtc", "abort", "cluster"]);
  assertEquals(config.tokenPrices, { prompt: 0.5, output: 3 });
  const weights = parse([], { CHORUS_ADAPTER_WEIGHTS: "upper=2.0, lower=0.5" }).adapterWeights;
  assertEquals([...weights], [["upper", 2], ["lower", 0.5]]);
  assertEquals(parse([]).policy, ["fcfs"]);
  assertEquals([parse([]).overCommit, parse(["--over-commit", "1.5"]).overCommit], [null, 1.5]);
});

Deno.test("parseConfig() takes no number that it does not understand whole", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), (text) => {
    fc.pre(!/^\d+$/.test(text));
    assertThrows(() => parse([`--max-queued=${text}`]), ConfigError, "--max-queued");
  }));
});

Deno.test("parseConfig() refuses options that are not there", () => {
  assertThrows(() => parse(["--gpus", "1"]), CommanderError, "unknown option '--gpus'");
  assertThrows(() => parse(["model"]), CommanderError, "too many arguments");
});

Deno.test("variableOf() writes an option's name as its variable", () => {
  assertEquals(variableOf("maxBatchTokens"), "CHORUS_MAX_BATCH_TOKENS");
});
