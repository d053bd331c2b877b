import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useExplorer } from "../context";
import { address } from "../data";
import { Change } from "../figures";
import { useAnswer, useRested } from "../hooks";
import { useKeys } from "../keys";
import type { QueryRow, QueryRows } from "../types";

const LIMIT = 30;
const NEAR = 50; // queries fetched around the one in sight

const named = (option: QueryRow | "ask") => (option === "ask" ? "\u0000ask" : option.query_id);

/** One box to ask a live system and to find a recorded query; its keys are those of a combobox. */
export function Ask({ ask, asking }: { ask: (text: string) => void; asking: boolean }) {
  const { state, route, go, settings } = useExplorer();
  const id = useId();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [picked, setPicked] = useState<string | null>(null); // by its id: the list may change under it
  const hurried = useRef(false); // Enter came before the list for what was typed
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
  const chosen = picked === null ? -1 : options.findIndex((one) => named(one) === picked);
  const pending = found.pending || find !== text.trim();
  const pick = (option: QueryRow | "ask" | undefined) => {
    setOpen(false);
    setPicked(null);
    hurried.current = false;
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
      const to = options[Math.min(options.length - 1, chosen + (event.key === "ArrowDown" ? 1 : -1))];
      setPicked(to === undefined ? null : named(to));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (chosen >= 0) pick(options[chosen]);
      else if (state.live && text.trim()) pick("ask");
      else if (pending) hurried.current = true;
      else pick(options[0]);
    } else if (event.key === "Escape") {
      event.preventDefault(); // browsers would clear the field, which opens the list again
      if (open) setOpen(false);
      else input.current?.blur();
    }
  };
  useEffect(() => {
    if (hurried.current && open && !pending) pick(rows[0]);
  });
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
            setPicked(null);
            hurried.current = false;
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
            key={named(option)}
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
  const { data, state, route, go, saved } = useExplorer();
  const near = useRef<QueryRows | null>(null);
  const here = useRef(route.query);
  const going = useRef(Promise.resolve());
  useEffect(() => {
    here.current = route.query;
  }, [route.query]);
  useEffect(() => {
    near.current = null;
  }, [saved]);
  const ask = (part: { offset: number; limit: number; around?: string | null }) => {
    const judged = state.counts.judged > 0;
    const sort = judged ? "gain" : "text";
    return data.ask<QueryRows>("GET", address("api/queries", { sort, order: judged ? "desc" : "asc", ...part }));
  };
  const move = async (step: number) => {
    const place = (found: QueryRows | null) => found?.rows.findIndex((row) => row.query_id === here.current) ?? -1;
    if (place(near.current) < 0) near.current = await ask({ offset: 0, limit: NEAR, around: here.current });
    const { rows, offset, total } = near.current!;
    if (!total) return;
    const at = place(near.current);
    const to = at < 0 ? (step > 0 ? 0 : total - 1) : (offset + at + step + total) % total;
    const row = rows[to - offset] ?? (await ask({ offset: to, limit: 1 })).rows[0];
    if (!row) return;
    here.current = row.query_id;
    go({ query: row.query_id, doc: null });
  };
  // one after the other, so that no key is lost while an answer is on its way
  const step = (by: number) => () => (going.current = going.current.then(() => move(by)).catch(() => {}));
  return { next: step(1), previous: step(-1) };
}
