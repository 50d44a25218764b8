import * as Plot from "@observablehq/plot";
import { DOMParser } from "linkedom";
import type { LoadSummary } from "./load_summary.ts";
import type { Percentiles } from "./percentile.ts";

/** One line of a chart: a value for each x. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** Lines that share an axis. */
export interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
}

const WIDTH = 640;
const HEIGHT = 240;
const TITLE = 20;

/** The panels one below another as one SVG document, their x axis logarithmic. */
export function chart(panels: readonly Panel[], xLabel: string): string {
  const document = new DOMParser().parseFromString("<html><body></body></html>", "text/html");
  const parts = panels.map(({ title, series }, i) => {
    const points = series.flatMap(({ name, points }) =>
      points.map((point) => ({ ...point, name }))
    );
    const plot = Plot.plot({
      document,
      width: WIDTH,
      height: HEIGHT,
      marginLeft: 60,
      marginRight: 90,
      x: {
        type: "symlog",
        tickFormat: String,
        label: xLabel,
        ticks: [...new Set(points.map(({ x }) => x))],
      },
      y: { zero: true, grid: true, label: null },
      marks: [
        Plot.lineY(points, { x: "x", y: "y", stroke: "name" }),
        Plot.dot(points, { x: "x", y: "y", stroke: "name" }),
        Plot.text(
          series.flatMap(({ name, points }) => points.slice(-1).map((p) => ({ ...p, name }))),
          { x: "x", y: "y", text: "name", fill: "name", textAnchor: "start", dx: 8 },
        ),
      ],
    });
    const y = i * (HEIGHT + TITLE);
    plot.setAttribute("y", String(y + TITLE));
    return `<text x="8" y="${y + 15}" font-family="sans-serif" font-size="13">${title}</text>` +
      plot.outerHTML;
  });
  const height = panels.length * (HEIGHT + TITLE);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}">` +
    `<rect width="100%" height="100%" fill="white"/>${parts.join("")}</svg>\n`;
}

/** Throughput, first token, inter-token latency and attainment over the number of adapters. */
export function loadChart(rows: readonly (LoadSummary & { readonly adapters: number })[]): string {
  const over = (name: string, value: (row: LoadSummary) => number): Series => ({
    name,
    points: rows.map((row) => ({ x: row.adapters, y: value(row) })),
  });
  const percents = (of: (row: LoadSummary) => Percentiles, unit: number) => [
    over("p50", (row) => unit * of(row).p50),
    over("p99", (row) => unit * of(row).p99),
  ];
  return chart([
    { title: "Requests a second", series: [over("req/s", (row) => row.requestsPerSecond)] },
    { title: "First token, s", series: percents((row) => row.firstToken, 1) },
    { title: "Between tokens, ms", series: percents((row) => row.interToken, 1000) },
    { title: "Share within the SLO", series: [over("in SLO", (row) => row.attainment)] },
  ], "adapters");
}
