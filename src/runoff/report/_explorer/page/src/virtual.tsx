import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const SPARE = 8; // rows above and below what is seen
const TALLEST = 8_000_000; // pixels: browsers lose precision beyond

/**
 * A table of rows of one height, of which only those in sight exist.
 *
 * The arrow keys, Page Up and Down, Home and End move the current row, Enter opens it. Screen readers get the true
 * number of rows and the place of each.
 */
export function Virtual({
  label,
  columns,
  head,
  total,
  row,
  open,
  height,
  seen,
  stamp,
}: {
  label: string;
  columns: number;
  head: ComponentChildren;
  total: number;
  row: (index: number) => ComponentChildren;
  open: (index: number) => void;
  height: number;
  /** Told which rows are in sight. */
  seen?: (from: number, to: number) => void;
  /** A change of it returns to the first row. */
  stamp?: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 40]);
  const [current, setCurrent] = useState(0);
  const wanted = useRef(false);
  const look = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const from = Math.max(0, Math.floor(element.scrollTop / height) - SPARE);
    const to = Math.min(total, Math.ceil((element.scrollTop + element.clientHeight) / height) + SPARE);
    setRange((before) => (before[0] === from && before[1] === to ? before : [from, to]));
  }, [height, total]);
  useLayoutEffect(look, [look]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    setCurrent(0);
    look();
  }, [stamp, look]);
  useEffect(() => seen?.(...range), [seen, range]);
  useEffect(() => {
    if (!wanted.current) return;
    wanted.current = false;
    box.current?.querySelector<HTMLElement>(`[data-index="${current}"]`)?.focus({ preventScroll: true });
  }, [current, range]);

  const move = (to: number) => {
    const element = box.current;
    if (!element || !total) return;
    const index = Math.max(0, Math.min(total - 1, to));
    const top = index * height;
    const headed = element.querySelector<HTMLElement>(".head")?.offsetHeight ?? 0;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + height + headed > element.scrollTop + element.clientHeight)
      element.scrollTop = top + height + headed - element.clientHeight;
    wanted.current = true;
    setCurrent(index);
    look();
  };
  const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 400) / height) - 2);
  const onKeyDown = (event: KeyboardEvent) => {
    if (!(event.target as HTMLElement).matches("[data-index]")) return;
    const steps: Record<string, number> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: total - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) {
      event.preventDefault();
      move(to);
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(current);
    }
  };
  const indices = [];
  for (let index = range[0]; index < Math.min(range[1], total); index++) indices.push(index);
  const tall = Math.min(total * height, TALLEST);
  return (
    <div
      class="virtual"
      role="grid"
      aria-label={label}
      aria-rowcount={total + 1}
      aria-colcount={columns}
      ref={box}
      onScroll={look}
      onKeyDown={onKeyDown}
    >
      <div class="head" role="row" aria-rowindex={1}>
        {head}
      </div>
      <div class="rows" role="rowgroup" style={{ height: `${tall}px` }}>
        {indices.map((index) => (
          <div
            key={index}
            role="row"
            class="row"
            aria-rowindex={index + 2}
            data-index={index}
            tabIndex={index === current ? 0 : -1}
            style={{ top: `${index * height}px`, height: `${height}px` }}
            onFocus={() => setCurrent(index)}
            onClick={() => open(index)}
          >
            {row(index)}
          </div>
        ))}
      </div>
    </div>
  );
}
