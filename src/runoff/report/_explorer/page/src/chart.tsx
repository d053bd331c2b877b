import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { measure } from "./format";
import { useWidth } from "./hooks";
import type { Trend } from "./types";

const HEIGHT = 220;
const DAY = 86_400; // seconds
const HOUR = 3600;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR].concat(
  [1, 2, 3, 7, 14, 28, 91, 182, 364].map((days) => days * DAY),
); // no ticks that read the same
const HOURS: Intl.DateTimeFormatOptions = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false };
const SECONDS: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
const DAYS: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };

/** A line over time with its interval as a band; the colours are those of the theme. */
export function Chart({ name, points }: { name: string; points: Trend["series"][number]["points"] }) {
  const place = useRef<HTMLDivElement | null>(null);
  const [watch, width] = useWidth();
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    let plot: uPlot | null = null;
    const draw = () => {
      plot?.destroy();
      plot = build(element, points, width);
    };
    draw();
    // the canvas does not follow the theme by itself
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    const root = element.closest("[data-theme]");
    const watcher = new MutationObserver(draw);
    if (root) watcher.observe(root, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      dark.removeEventListener("change", draw);
      watcher.disconnect();
      plot?.destroy();
    };
  }, [points, width]);
  const values = points.flatMap((one) => (one.value === null ? [] : [one.value]));
  const said = values.length
    ? `${name}: ${points.length} points, from ${measure(values[0])} to ${measure(values.at(-1))}, lowest ${measure(Math.min(...values))}, highest ${measure(Math.max(...values))}`
    : `${name}: no values`;
  return (
    <div
      class="chart"
      role="img"
      aria-label={said}
      ref={(element) => {
        place.current = element;
        watch(element);
      }}
    />
  );
}

/** A value on an axis with the digits that its step needs. */
function rounded(value: number, step: number): string {
  return value.toFixed(Math.max(0, Math.ceil(-Math.log10(step)))).replace("-", "\u2212");
}

function build(element: HTMLElement, points: Trend["series"][number]["points"], width: number): uPlot {
  const style = getComputedStyle(element);
  const colour = (property: string) => {
    // a custom property is text; a real property resolves light-dark()
    const probe = document.createElement("i");
    probe.style.color = `var(${property})`;
    element.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const ink = colour("--ink-soft");
  const rule = colour("--rule");
  const axis: uPlot.Axis = {
    stroke: ink,
    font: `12px ${style.fontFamily}`,
    grid: { stroke: rule, width: 1 },
    ticks: { stroke: rule, width: 1 },
  };
  return new uPlot(
    {
      width: Math.max(200, width),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false },
      scales: {
        x: { time: true },
        y: { range: (_, low, high) => uPlot.rangeNum(Math.min(low, 0), Math.max(high, 0), 0.1, true) },
      },
      axes: [
        {
          ...axis,
          space: 90,
          incrs: STEPS,
          values: (_, splits, __, ___, step) =>
            splits.map((at) => new Date(1000 * at).toLocaleString("en", step < 60 ? SECONDS : step < DAY ? HOURS : DAYS)),
        },
        { ...axis, size: 56, values: (_, splits, __, ___, step) => splits.map((value) => rounded(value, step)) },
      ],
      series: [
        {},
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
        { stroke: colour("--accent"), width: 2, points: { show: points.length < 60, size: 5, fill: colour("--accent") } },
      ],
      bands: [{ series: [1, 2], fill: colour("--accent-wash") }],
      hooks: {
        draw: [
          (plot) => {
            const y = plot.valToPos(0, "y", true);
            plot.ctx.save();
            plot.ctx.strokeStyle = ink;
            plot.ctx.setLineDash([4, 4]);
            plot.ctx.beginPath();
            plot.ctx.moveTo(plot.bbox.left, y);
            plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
            plot.ctx.stroke();
            plot.ctx.restore();
          },
        ],
      },
    },
    [
      points.map((one) => Date.parse(one.at) / 1000),
      points.map((one) => one.high),
      points.map((one) => one.low),
      points.map((one) => one.value),
    ],
    element,
  );
}
