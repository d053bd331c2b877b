import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Item } from "../types";

export interface Line {
  doc: string;
  from: number;
  to: number;
  move: "up" | "down" | "same";
  strong: boolean;
  /** One end lies below what is shown of its list. */
  far: boolean;
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
    const bottom = Math.max(...[...from.values(), ...to.values()], 0) + 60;
    const items = new Map([...left, ...right].map((item) => [item.doc_id, item]));
    setLines(
      [...items.values()].flatMap((item) => {
        const doc = item.doc_id;
        const before = leftRanks.get(doc);
        const after = rightRanks.get(doc);
        if (before === undefined || after === undefined) return [];
        const move = after < before ? "up" : after > before ? "down" : "same";
        const far = !from.has(doc) || !to.has(doc);
        const ends = { from: from.get(doc) ?? bottom, to: to.get(doc) ?? bottom };
        return [{ doc, ...ends, move, far, strong: (item.grade ?? 0) > 0 } as Line];
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
      {lines.map(({ doc, from, to, move, strong, far }) => (
        <path
          key={doc}
          class={`${move} ${strong ? "strong" : ""} ${far ? "far" : ""} ${doc === lit ? "lit" : ""}`}
          d={`M0 ${from}C28 ${from} 28 ${to} 56 ${to}`}
        />
      ))}
    </svg>
  );
}
