import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useExplorer } from "../context";
import { address } from "../data";
import { Change } from "../figures";
import { useAnswer, useRested } from "../hooks";
import { useKeys } from "../keys";
import type { QueryRow, QueryRows } from "../types";

const LIMIT = 30;

/** One box to ask a live system and to find a recorded query; its keys are those of a combobox. */
export function Ask({ ask, asking }: { ask: (text: string) => void; asking: boolean }) {
  const { state, route, go, settings } = useExplorer();
  const id = useId();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const find = useRested(text.trim(), 120);
  const recorded = state.counts.queries > 0;
  const judged = state.counts.judged > 0;
  const sort = { sort: judged ? "gain" : "text", order: judged ? "desc" : "asc" };
  const found = useAnswer<QueryRows>(
    open && recorded ? address("api/queries", { ...sort, offset: 0, limit: LIMIT, find, settings }) : null,
  );
  const rows = open ? (found.value?.rows ?? []) : [];
  const options: (QueryRow | "ask")[] = state.live && text.trim() ? ["ask", ...rows] : rows;
  const pick = (option: QueryRow | "ask" | undefined) => {
    setOpen(false);
    setChosen(-1);
    if (option === "ask" || option === undefined) {
      if (state.live && text.trim()) ask(text.trim());
    } else {
      setText("");
      go({ query: option.query_id, doc: null });
    }
    input.current?.blur();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      setChosen((before) => Math.max(-1, Math.min(options.length - 1, before + step)));
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(chosen >= 0 ? options[chosen] : state.live && text.trim() ? "ask" : options[0]);
    } else if (event.key === "Escape") {
      event.preventDefault(); // browsers would clear the field, which opens the list again
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  useEffect(() => {
    if (chosen >= 0) document.getElementById(`${id}-${chosen}`)?.scrollIntoView({ block: "nearest" });
  }, [chosen, id]);
  const near = useNeighbours();
  useKeys(document, { n: near.next, p: near.previous });
  const placeholder =
    state.live && recorded
      ? "Ask, or find a query"
      : state.live
        ? "Ask a question"
        : "Find a query";
  return (
    <div class="ask" role="search">
      <div class="box">
        <input
          ref={input}
          type="search"
          role="combobox"
          data-key="/"
          aria-label={placeholder}
          aria-expanded={open && options.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={chosen >= 0 ? `${id}-${chosen}` : undefined}
          placeholder={placeholder}
          dir="auto"
          autocomplete="off"
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setOpen(true);
            setChosen(-1);
          }}
          onFocus={() => setOpen(true)}
          onBlur={() => setOpen(false)}
          onKeyDown={onKeyDown}
        />
        {state.live && (
          <button type="button" class="primary" disabled={asking || !text.trim()} onClick={() => pick("ask")}>
            {asking ? "Asking" : "Ask"}
          </button>
        )}
        {recorded && (
          <span class="pair">
            <button type="button" onClick={near.previous} aria-label="Previous query" title="Previous query (p)">
              ‹
            </button>
            <button type="button" onClick={near.next} aria-label="Next query" title="Next query (n)">
              ›
            </button>
          </span>
        )}
      </div>
      <ul id={`${id}-list`} role="listbox" aria-label="Queries" hidden={!open || !options.length}>
        {options.map((option, index) => (
          <li
            key={option === "ask" ? "\u0000ask" : option.query_id}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            class={option !== "ask" && option.query_id === route.query ? "here" : undefined}
            onMouseDown={(event) => {
              event.preventDefault(); // keeps the focus until the click has counted
              pick(option);
            }}
          >
            {option === "ask" ? (
              <span>
                Ask the system: <b dir="auto">{text.trim()}</b>
              </span>
            ) : (
              <>
                <span dir="auto">{option.text ?? option.query_id}</span>
                {option.gain !== null && <Change value={option.gain} />}
              </>
            )}
          </li>
        ))}
      </ul>
      {open && find && !found.pending && recorded && !rows.length && !state.live && (
        <p class="note">No recorded query contains that.</p>
      )}
    </div>
  );
}

/** Goes to the query before or after the one in sight, in the order of their gain. */
function useNeighbours() {
  const { data, state, route, go } = useExplorer();
  const order = useRef<string[] | null>(null);
  const move = async (step: number) => {
    if (!state.counts.queries) return;
    const judged = state.counts.judged > 0;
    order.current ??= (
      await data.ask<QueryRows>(
        "GET",
        address("api/queries", { sort: judged ? "gain" : "text", order: judged ? "desc" : "asc", offset: 0, limit: 1000 }),
      )
    ).rows.map((row) => row.query_id);
    const ids = order.current;
    const at = ids.indexOf(route.query ?? "");
    const to = ids[(at + step + ids.length) % ids.length];
    if (to !== undefined) go({ query: to, doc: null });
  };
  return { next: () => void move(1).catch(() => {}), previous: () => void move(-1).catch(() => {}) };
}
