import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Item } from "../types";

export interface Line {
  doc: string;
  /** Height on the left; null if the row lies below what is shown there. */
  from: number | null;
  to: number | null;
  move: "up" | "down" | "same";
  strong: boolean;
}

/**
 * The lines from each document's place on the left to its place on the right.
 *
 * They follow the rows while these move or unfold.
 */
export function Lines({
  left,
  right,
  leftRanks,
  rightRanks,
  box,
  lit,
}: {
  left: Item[];
  right: Item[];
  /** The ranks of all documents, shown or not. */
  leftRanks: Map<string, number>;
  rightRanks: Map<string, number>;
  box: { current: HTMLElement | null };
  lit: string | null;
}) {
  const svg = useRef<SVGSVGElement>(null);
  const [lines, setLines] = useState<Line[]>([]);
  const draw = useCallback(() => {
    const top = svg.current?.getBoundingClientRect().top;
    if (top === undefined || !box.current) return;
    const places = (side: string) =>
      new Map(
        [...box.current!.querySelectorAll<HTMLElement>(`[data-side="${side}"] [data-row]`)].map((row) => {
          const line = row.querySelector(".rank") ?? row;
          const { top: from, height } = line.getBoundingClientRect();
          return [row.dataset.row!, from + height / 2 - top];
        }),
      );
    const from = places("left");
    const to = places("right");
    const items = new Map([...left, ...right].map((item) => [item.doc_id, item]));
    setLines(
      [...items.values()].flatMap((item) => {
        const doc = item.doc_id;
        const before = leftRanks.get(doc);
        const after = rightRanks.get(doc);
        if (before === undefined || after === undefined) return [];
        const move = after < before ? "up" : after > before ? "down" : "same";
        const ends = { from: from.get(doc) ?? null, to: to.get(doc) ?? null };
        return [{ doc, ...ends, move, strong: (item.grade ?? 0) > 0 } as Line];
      }),
    );
  }, [left, right, leftRanks, rightRanks, box]);
  useLayoutEffect(() => {
    draw();
    let frame = 0;
    const end = performance.now() + 400; // rows glide to their new places for a while
    const follow = () => {
      draw();
      if (performance.now() < end) frame = requestAnimationFrame(follow);
    };
    frame = requestAnimationFrame(follow);
    const watcher = new ResizeObserver(draw);
    if (box.current) for (const list of box.current.querySelectorAll("[data-side]")) watcher.observe(list);
    return () => {
      cancelAnimationFrame(frame);
      watcher.disconnect();
    };
  }, [draw, box]);
  return (
    <svg class={`lines ${lit ? "some" : ""}`} ref={svg} aria-hidden="true" preserveAspectRatio="none">
      {lines.map((line) => (
        <path
          key={line.doc}
          class={`${line.move} ${line.strong ? "strong" : ""} ${line.doc === lit ? "lit" : ""}`}
          d={drawn(line)}
        />
      ))}
    </svg>
  );
}

/** A curve between the lists, or its beginning where it leads below one of them. */
function drawn({ from, to }: Line): string {
  if (from !== null && to !== null) return `M0 ${from}C28 ${from} 28 ${to} 56 ${to}`;
  if (from !== null) return `M0 ${from}C12 ${from} 18 ${from + 10} 19 ${from + 34}`;
  return `M56 ${to}C44 ${to} 38 ${to! + 10} 37 ${to! + 34}`;
}
