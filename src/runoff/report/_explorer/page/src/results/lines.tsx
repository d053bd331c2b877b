import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Item } from "../types";

export interface Line {
  doc: string;
  from: number;
  to: number;
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
  box,
  lit,
}: {
  left: Item[];
  right: Item[];
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
    const ranks = new Map(left.map((item) => [item.doc_id, item.rank]));
    setLines(
      right.flatMap((item) => {
        const a = from.get(item.doc_id);
        const b = to.get(item.doc_id);
        const rank = ranks.get(item.doc_id);
        if (a === undefined || b === undefined || rank === undefined) return [];
        const move = item.rank < rank ? "up" : item.rank > rank ? "down" : "same";
        return [{ doc: item.doc_id, from: a, to: b, move, strong: (item.grade ?? 0) > 0 } as Line];
      }),
    );
  }, [left, right, box]);
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
      {lines.map(({ doc, from, to, move, strong }) => (
        <path
          key={doc}
          class={`${move} ${strong ? "strong" : ""} ${doc === lit ? "lit" : ""}`}
          d={`M0 ${from}C28 ${from} 28 ${to} 56 ${to}`}
        />
      ))}
    </svg>
  );
}
