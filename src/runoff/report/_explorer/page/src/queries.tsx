import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useExplorer } from "./context";
import { Change, Diverging, Unjudged } from "./figures";
import { count, language, measure, milliseconds, moment, NONE, plural } from "./format";
import { useRested } from "./hooks";
import { usePages } from "./pages";
import { Empty, Failed, Waiting } from "./states";
import type { QueryRow, State } from "./types";
import { Virtual } from "./virtual";

const HEIGHT = 36;

const COLUMNS: { key: string; sort: string | null; name: string; title?: string }[] = [
  { key: "text", sort: "text", name: "Query" },
  { key: "when", sort: "time", name: "Asked" },
  { key: "gain", sort: "gain", name: "Gain", title: "what the second stage changed for this query" },
  { key: "after", sort: null, name: "Before \u2192 after" },
  { key: "loss", sort: "loss", name: "Loss", title: "what is missing to the best possible order, and where most of it went" },
  { key: "unjudged", sort: "unjudged", name: "Unjudged", title: "share of the first results that nobody judged" },
  { key: "length", sort: "length", name: "Words", title: "words of the query" },
  { key: "language", sort: "language", name: "Lang.", title: "the language, or the script where it is not known" },
  { key: "latency", sort: "latency", name: "Latency", title: "of the whole search" },
];

const RANKED = ["gain", "after", "loss", "unjudged"]; // columns that need judgments

const ONLY: [string, string][] = [
  ["helped", "helped"],
  ["harmed", "harmed"],
  ["same", "same"],
  ["unjudged", "some unjudged"],
  ["degraded", "degraded"],
];

/** How queries are sorted at first: what changed most, or the latest. */
export function start(state: State): { sort: string; order: "asc" | "desc" } {
  if (state.counts.judged > 0) return { sort: "gain", order: "desc" };
  return state.kind === "observations" ? { sort: "time", order: "desc" } : { sort: "text", order: "asc" };
}

interface Filter {
  sort: string;
  order: "asc" | "desc";
  find: string;
  slice: string;
  language: string;
  only: string;
}

/** All queries in a table that is sorted and filtered by whoever answers, a page at a time. */
export function Queries() {
  const { state, settings, go, saved, outdated, say } = useExplorer();
  const judged = state.counts.judged > 0;
  const [filter, setFilter] = useState<Filter>({
    ...start(state),
    find: "",
    slice: "",
    language: "",
    only: "",
  });
  const find = useRested(filter.find, 150);
  const held = useRef<number | null>(null); // the row that the reader went to
  const rested = { ...filter, find };
  const pages = usePages(JSON.stringify(rested), JSON.stringify([settings, saved]), { ...rested, settings }, (row) =>
    held.current === null ? null : (row(held.current)?.query_id ?? null),
  );
  const pending = pages.pending || find !== filter.find;
  const set = (part: Partial<Filter>) => {
    held.current = null; // a new order of the reader's own is read from the top
    setFilter((before) => ({ ...before, ...part }));
  };
  const section = useRef<HTMLElement>(null);
  const enters = useRef(false); // the reader has left the filter for the rows that it is to bring
  useLayoutEffect(() => {
    if (pending || !enters.current) return;
    enters.current = false;
    section.current?.querySelector<HTMLElement>("[data-index][tabindex='0']")?.focus();
  });
  const sort = (key: string) =>
    set(
      filter.sort === key
        ? { order: filter.order === "asc" ? "desc" : "asc" }
        : { sort: key, order: key === "text" || key === "language" ? "asc" : "desc" },
    );
  const timed = state.kind === "observations";
  const columns = COLUMNS.filter((one) => (judged || !RANKED.includes(one.key)) && (timed || one.key !== "when"));
  const filtered = filter.find || filter.slice || filter.language || filter.only;
  return (
    <section ref={section} class={`queries ${judged ? "" : "bare"} ${timed ? "timed" : ""}`}>
      <h2 class="sr">Queries</h2>
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          data-key="/"
          placeholder={judged ? "Filter: words, id, slice, loss>.5" : "Filter: words, id, slice, latency>100"}
          aria-label="Filter by words, id or slice"
          title="Words, ids or slices, or conditions: gain<0, loss>.5, before<.2, after>.8, unjudged>20%, words>8, latency>100"
          value={filter.find}
          onInput={(event) => {
            enters.current = false;
            set({ find: event.currentTarget.value });
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape" && !event.currentTarget.value) event.currentTarget.blur();
            if (event.key !== "ArrowDown") return;
            event.preventDefault();
            enters.current = true;
            set({});
          }}
        />
        <Choice
          name="Outcome"
          all="All outcomes"
          value={filter.only}
          choices={judged ? ONLY : ONLY.slice(-1)}
          set={(only) => set({ only })}
        />
        <Choice
          name="Slice"
          all="All slices"
          value={filter.slice}
          choices={state.slices.map((one) => [one, one])}
          set={(slice) => set({ slice })}
        />
        <Choice
          name="Language"
          all="All languages"
          value={filter.language}
          choices={state.languages.map((one) => [one, language(one)])}
          set={(chosen) => set({ language: chosen })}
        />
        <select
          class="sort"
          aria-label="Sort by"
          value={`${filter.sort} ${filter.order}`}
          onChange={(event) => {
            const [key = "", order = ""] = event.currentTarget.value.split(" ");
            set({ sort: key, order: order as Filter["order"] });
          }}
        >
          {columns.flatMap((one) =>
            one.sort ? ["desc", "asc"].map((order) => (
              <option key={one.key + order} value={`${one.sort} ${order}`}>
                {one.name} {order === "desc" ? "\u2193" : "\u2191"}
              </option>
            )) : [],
          )}
        </select>
        <span class="total" role="status">
          {pages.order === null ? "" : plural(pages.order.total, "query", "queries")}
        </span>
      </form>
      {pages.error ? (
        <Failed error={pages.error} retry={pages.retry} />
      ) : pages.order === null ? (
        <Waiting what="the queries" slow={pages.slow} />
      ) : pages.order.total === 0 ? (
        <Empty>
          {filtered ? (
            <>
              <p>No query fits these filters.</p>
              <button
                type="button"
                onClick={() => set({ find: "", slice: "", language: "", only: "" })}
              >
                Clear the filters
              </button>
            </>
          ) : (
            <p>This recording has no queries. Record some with `runoff evaluate`.</p>
          )}
        </Empty>
      ) : (
        <Virtual
          label="Queries"
          columns={columns.length}
          total={pages.order.total}
          height={HEIGHT}
          stamp={pages.order.stamp}
          place={pages.order.place}
          busy={pending || outdated}
          seen={pages.need}
          enters={enters}
          hold={(index) => (held.current = index)}
          gone={() => say("The query that had the focus is no longer in this list")}
          open={(index) => {
            const row = pages.row(index);
            if (row) go({ view: "results", query: row.query_id, doc: null });
          }}
          head={columns.map((column) => (
            <div
              key={column.key}
              role="columnheader"
              class={`cell ${column.key}`}
              title={column.title}
              aria-sort={
                column.sort === filter.sort ? (filter.order === "asc" ? "ascending" : "descending") : undefined
              }
            >
              {column.sort ? (
                <button type="button" onClick={() => sort(column.sort!)}>
                  {column.name}
                  <span aria-hidden="true" class="arrow">
                    {column.sort === filter.sort ? (filter.order === "asc" ? "\u2191" : "\u2193") : ""}
                  </span>
                </button>
              ) : (
                column.name
              )}
            </div>
          ))}
          row={(index) => <Row row={pages.row(index)} shown={columns.map((one) => one.key)} />}
        />
      )}
    </section>
  );
}

function Row({ row, shown }: { row: QueryRow | null; shown: string[] }) {
  if (row === null)
    return (
      <div role="gridcell" class="cell text bone">
        <span class="sr">loading</span>
      </div>
    );
  const degraded = row.outcome !== null && row.outcome !== "complete";
  const cells: Record<string, ComponentChildren> = {
    when: row.time === null ? NONE : moment(row.time),
    gain: (
      <>
        <Diverging value={row.gain} most={1} />
        <Change value={row.gain} />
      </>
    ),
    after: (
      <>
        {measure(row.before)} <span aria-hidden="true">→</span> {measure(row.after)}
      </>
    ),
    loss: (
      <>
        {measure(row.loss)} <small>{row.loss_stage}</small>
      </>
    ),
    unjudged: <Unjudged share={row.unjudged} />,
    length: count(row.length),
    language: row.language ?? NONE,
    latency: milliseconds(row.latency_ms),
  };
  const text = row.text ?? row.query_id;
  return (
    <>
      <div role="gridcell" class="cell text" dir="auto" title={[text, row.slices.join(", ")].join("\n")}>
        {text}
        {degraded && <span class="tag warn">degraded</span>}
      </div>
      {shown.slice(1).map((key) => (
        <div key={key} role="gridcell" class={`cell ${key}`}>
          {cells[key]}
        </div>
      ))}
    </>
  );
}

function Choice({
  name,
  all,
  value,
  choices,
  set,
}: {
  name: string;
  all: string;
  value: string;
  choices: [string, string][];
  set: (value: string) => void;
}) {
  if (!choices.length) return null;
  return (
    <select aria-label={name} value={value} onChange={(event) => set(event.currentTarget.value)}>
      <option value="">{all}</option>
      {choices.map(([key, shown]) => (
        <option key={key} value={key}>
          {shown}
        </option>
      ))}
    </select>
  );
}
