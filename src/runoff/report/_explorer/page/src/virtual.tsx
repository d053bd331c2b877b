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
  place,
  busy,
  enters,
  hold,
  gone,
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
  /** Names the order of the rows. */
  stamp?: unknown;
  /** Where the row that was held stands in this order: null if none is, undefined to start at the top. */
  place?: number | null | undefined;
  /** Another order is on its way. */
  busy?: boolean;
  /** Whether the first row of the next order takes the focus. */
  enters?: { current: boolean };
  /** Told which row the reader holds. */
  hold?: (index: number | null) => void;
  /** The row with the focus is not in this order. */
  gone?: () => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 40]);
  const [current, setCurrent] = useState(0);
  const wanted = useRef(false);
  const pressed = useRef<unknown>();
  const look = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const from = Math.max(0, Math.floor(element.scrollTop / height) - SPARE);
    const to = Math.min(total, Math.ceil((element.scrollTop + element.clientHeight) / height) + SPARE);
    setRange((before) => (before[0] === from && before[1] === to ? before : [from, to]));
  }, [height, total]);
  useLayoutEffect(look, [look]);
  // the focus goes where its row went, before the next key
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const inside = document.activeElement?.matches("[data-index]") && element.contains(document.activeElement);
    const gives = inside || enters?.current;
    if (typeof place === "number") {
      if (inside) element.scrollTop += (place - current) * height;
      setCurrent(place);
      hold?.(place);
      wanted.current = Boolean(inside);
    } else if (place === null) {
      setCurrent(Math.max(0, Math.min(total - 1, current)));
      hold?.(null);
      if (inside) {
        element.focus({ preventScroll: true }); // Enter must not open the row that came in its place
        gone?.();
      }
    } else {
      element.scrollTop = 0;
      setCurrent(0);
      wanted.current = Boolean(gives);
    }
    if (enters) enters.current = false;
    look();
  }, [stamp]);
  useEffect(() => seen?.(...range), [seen, range]);
  const take = (index: number) => {
    const row = wanted.current && box.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
    if (!row) return;
    wanted.current = false;
    row.focus({ preventScroll: true });
  };
  useLayoutEffect(() => take(current), [current, range]);

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
    hold?.(index);
    look();
    take(index);
  };
  const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 400) / height) - 2);
  const onKeyDown = (event: KeyboardEvent) => {
    const onRow = (event.target as HTMLElement).matches("[data-index]");
    if (!onRow && event.target !== box.current) return;
    const steps: Record<string, number> = {
      ArrowDown: onRow ? current + 1 : current,
      ArrowUp: onRow ? current - 1 : current,
      PageDown: current + page,
      PageUp: current - page,
      Home: 0,
      End: total - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) {
      event.preventDefault();
      move(to);
    } else if (event.key === "Enter" && onRow) {
      event.preventDefault();
      open(current);
    }
  };
  const indices = [];
  for (let index = range[0]; index < Math.min(range[1], total); index++) indices.push(index);
  // Tab always finds a row, wherever the reader has scrolled
  const entry = current >= range[0] && current < range[1] ? current : Math.min(range[0] + SPARE, total - 1);
  const tall = Math.min(total * height, TALLEST);
  return (
    <div
      class={`virtual ${busy ? "stale" : ""}`}
      role="grid"
      tabIndex={-1}
      aria-busy={busy}
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
            tabIndex={index === entry ? 0 : -1}
            style={{ top: `${index * height}px`, height: `${height}px` }}
            onFocus={() => {
              setCurrent(index);
              hold?.(index);
            }}
            onPointerDown={() => (pressed.current = stamp)}
            onClick={(event) => {
              if (event.detail === 0 || pressed.current === stamp) open(index); // else another row has come under it
            }}
          >
            {row(index)}
          </div>
        ))}
      </div>
    </div>
  );
}
