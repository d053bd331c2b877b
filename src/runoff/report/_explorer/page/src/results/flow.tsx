import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { graded, useExplorer } from "../context";
import { measure } from "../format";
import { useWidth } from "../hooks";
import { press } from "../keys";
import type { Item } from "../types";
import { Result } from "./item";
import { Lines } from "./lines";

const FIRST = 10;
const SIDE_BY_SIDE = 620; // pixels

/** Two orders of the same documents side by side, with lines between the moves. */
export function Flow({
  query,
  text,
  left,
  right,
  leftTitle,
  leftHint,
  rightTitle,
  rightHint,
  fused = false,
  more,
  measures,
}: {
  query: string;
  text: string | null;
  left: Item[];
  right: Item[];
  leftTitle: string;
  leftHint: string;
  rightTitle: string;
  rightHint: string;
  /** The left order is that of fusion, so that every document's place in it is known. */
  fused?: boolean;
  /** Asks for longer lists. */
  more?: () => void;
  measures?: { left: number | null; right: number | null };
}) {
  const explorer = useExplorer();
  const { grades, grade, state } = explorer;
  const [shown, setShown] = useState(FIRST);
  const [open, setOpen] = useState<Set<string>>(new Set());
  const [lit, setLit] = useState<string | null>(null);
  const [side, setSide] = useState<"left" | "right">("right");
  const [watch, width] = useWidth();
  const box = useRef<HTMLDivElement | null>(null);
  const both = width >= SIDE_BY_SIDE;
  const regraded = useCallback(
    (items: Item[]) =>
      items.slice(0, shown).map((item) => {
        const key = graded(query, item.doc_id);
        return grades.has(key) ? { ...item, grade: grades.get(key)! } : item;
      }),
    [grades, query, shown],
  );
  const lefts = useMemo(() => regraded(left), [left, regraded]);
  const rights = useMemo(() => regraded(right), [right, regraded]);
  const leftRanks = useMemo(() => {
    const further = fused ? right.filter((item) => item.fusion_rank !== null) : [];
    return new Map([
      ...further.map((item) => [item.doc_id, item.fusion_rank!] as const),
      ...left.map((item) => [item.doc_id, item.rank] as const),
    ]);
  }, [left, right, fused]);
  const rightRanks = useMemo(() => new Map(right.map((item) => [item.doc_id, item.rank])), [right]);
  useGlide(box, rights, lefts);

  const toggle = (doc: string) =>
    setOpen((before) => {
      const after = new Set(before);
      if (!after.delete(doc)) after.add(doc);
      return after;
    });
  const onKeyDown = (event: KeyboardEvent) => {
    const row = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    const list = row?.closest<HTMLElement>("[data-side]");
    if (!row || !list) return;
    const rows = [...list.querySelectorAll<HTMLElement>("[data-row]")];
    const focus = (to: Element | null | undefined) => to?.querySelector<HTMLElement>("button")?.focus();
    const step = (by: number) => () => focus(rows[rows.indexOf(row) + by]);
    const across = (name: string) => () => {
      const other = [...(box.current?.querySelectorAll<HTMLElement>(`[data-side="${name}"] [data-row]`) ?? [])];
      focus(other.find((one) => one.dataset.row === row.dataset.row) ?? other[rows.indexOf(row)]);
    };
    const doc = row.dataset.row!;
    const mark = (value: number | null) => () => void grade(query, doc, value);
    press(
      {
        j: step(1),
        k: step(-1),
        ArrowDown: step(1),
        ArrowUp: step(-1),
        ArrowRight: across("right"),
        ArrowLeft: across("left"),
        ...(state.can_judge && { 0: mark(0), 1: mark(1), 2: mark(2), 3: mark(3), x: mark(null) }),
      },
      event,
    );
  };
  // j and k start at the first result when none has the focus
  const start = (event: KeyboardEvent) => {
    if (event.target !== document.body) return;
    const go = () => box.current?.querySelector<HTMLElement>("[data-side]:last-of-type [data-row] button")?.focus();
    press({ j: go, k: go }, event);
  };
  useLayoutEffect(() => {
    document.addEventListener("keydown", start);
    return () => document.removeEventListener("keydown", start);
  });

  const list = (name: "left" | "right", items: Item[], title: string, hint: string) => (
    <div class="side" data-side={name}>
      <h3>
        {title} <small dir="auto">{hint}</small>
        {measures && measures[name] !== null && (
          <span class="figure">
            <small>{state.measure}</small> {measure(measures[name])}
          </span>
        )}
      </h3>
      {items.length ? (
        <ol>
          {items.map((item) => (
            <Result
              key={item.doc_id}
              item={item}
              query={query}
              queryText={text}
              other={(name === "left" ? rightRanks : leftRanks).get(item.doc_id) ?? null}
              side={name}
              reranked={name === "right" || !fused}
              open={open.has(item.doc_id) && (name === "right" || !both || !rights.some((one) => one.doc_id === item.doc_id))}
              lit={lit === item.doc_id}
              toggle={() => {
                toggle(item.doc_id);
                if (name === "left") setLit(item.doc_id);
              }}
              light={(on) => setLit((before) => (on ? item.doc_id : before === item.doc_id ? null : before))}
            />
          ))}
        </ol>
      ) : (
        <p class="note">No results.</p>
      )}
    </div>
  );
  const most = Math.max(left.length, right.length);
  return (
    <div class={`flow ${both ? "both" : "one"}`} onKeyDown={onKeyDown}>
      {!both && (
        <div class="choice" role="group" aria-label="Which order">
          {(["left", "right"] as const).map((name) => (
            <button key={name} type="button" aria-pressed={side === name} onClick={() => setSide(name)}>
              {name === "left" ? leftTitle : rightTitle}
            </button>
          ))}
        </div>
      )}
      <div
        class="sides"
        ref={(element) => {
          box.current = element;
          watch(element);
        }}
      >
        {(both || side === "left") && list("left", lefts, leftTitle, leftHint)}
        {both && (
          <Lines left={lefts} right={rights} leftRanks={leftRanks} rightRanks={rightRanks} box={box} lit={lit} />
        )}
        {(both || side === "right") && list("right", rights, rightTitle, rightHint)}
      </div>
      {most > shown ? (
        <p class="more">
          <button type="button" onClick={() => setShown((before) => before + 20)}>
            Show {Math.min(20, most - shown)} more
          </button>{" "}
          <small>of {most}</small>
        </p>
      ) : (
        more &&
        most >= 30 && (
          <p class="more">
            <button type="button" onClick={more}>
              Show more
            </button>
          </p>
        )
      )}
    </div>
  );
}

/** Lets rows glide from their old to their new places, unless the reader prefers stillness. */
function useGlide(box: { current: HTMLElement | null }, ...orders: unknown[]) {
  const tops = useRef(new Map<string, number>());
  const focused = document.activeElement as HTMLElement | null; // a row that is moved would lose it
  useLayoutEffect(() => {
    const origin = box.current?.getBoundingClientRect().top ?? 0;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const after = new Map<string, number>();
    for (const row of box.current?.querySelectorAll<HTMLElement>("[data-row]") ?? []) {
      const name = `${row.closest<HTMLElement>("[data-side]")?.dataset.side}\n${row.dataset.row}`;
      const top = row.getBoundingClientRect().top - origin;
      const before = tops.current.get(name);
      after.set(name, top);
      if (before !== undefined && Math.abs(before - top) > 1 && !still)
        row.animate([{ transform: `translateY(${before - top}px)` }, { transform: "none" }], {
          duration: 260,
          easing: "cubic-bezier(.2,.7,.2,1)",
        });
    }
    tops.current = after;
    if (focused?.isConnected && box.current?.contains(focused)) focused.focus({ preventScroll: true });
  }, orders);
}
