import { useMemo, useRef, useState } from "preact/hooks";
import { useExplorer } from "./context";
import { address } from "./data";
import { Change, Diverging, Interval, sure } from "./figures";
import { ends, measure, percent } from "./format";
import { useAnswer } from "./hooks";
import { Flow } from "./results/flow";
import { Answered, Empty } from "./states";
import type { Compared, QueryAnswer } from "./types";
import { Virtual } from "./virtual";

type Key = "difference" | "overlap" | "text" | "a" | "b";

/** Two recordings of the same queries: the difference, its interval, and each query side by side. */
export function Compare() {
  const { saved } = useExplorer();
  const answer = useAnswer<Compared>("api/compare", saved);
  return (
    <section class="compare">
      <Answered answer={answer} what="the comparison">
        {(found) => <Shown found={found} />}
      </Answered>
    </section>
  );
}

function Shown({ found }: { found: Compared }) {
  const { route, go } = useExplorer();
  const [sort, setSort] = useState<{ key: Key; down: boolean }>({ key: "difference", down: true });
  const rows = useMemo(() => {
    const sign = sort.down ? -1 : 1;
    return [...found.rows].sort((one, two) => {
      const a = one[sort.key] ?? (sort.key === "text" ? one.query_id : null);
      const b = two[sort.key] ?? (sort.key === "text" ? two.query_id : null);
      if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
      return sign * (typeof a === "string" ? a.localeCompare(String(b)) : a - (b as number));
    });
  }, [found, sort]);
  const held = useRef<string | null>(null); // the query that the reader went to
  const before = useRef(found);
  const place = useMemo(() => {
    const regraded = before.current !== found;
    before.current = found;
    const at = rows.findIndex((row) => row.query_id === held.current);
    return !regraded ? undefined : at < 0 ? null : at; // a new order of the reader's own starts at the top
  }, [rows]);
  const summary = found.summary;
  const columns: [Key, string, string?][] = [
    ["text", "Query"],
    ["difference", "Difference", `${summary?.measure ?? "the measure"} of B minus that of A`],
    ["a", "A", `${summary?.measure ?? "the measure"} of A`],
    ["b", "B", `${summary?.measure ?? "the measure"} of B`],
    ["overlap", "Overlap", "how alike both orders are, the first ranks counting most (rank-biased overlap)"],
  ];
  return (
    <>
      <header class="comparing">
        <dl>
          <div>
            <dt>A</dt>
            <dd dir="auto">
              {found.a.title} <small>{found.a.settings}</small>
            </dd>
          </div>
          <div>
            <dt>B</dt>
            <dd dir="auto">
              {found.b.title} <small>{found.b.settings}</small>
            </dd>
          </div>
        </dl>
        {summary && (
          <div>
            <p class="big">
              <span class={sure(summary.low, summary.high) ? undefined : "unsure"}>
                <Change value={summary.difference} />
              </span>{" "}
              <small>{summary.measure}, B against A</small>
            </p>
            <Interval value={summary.difference} low={summary.low} high={summary.high} />
            <p class="figures">
              {measure(summary.a)} → <b>{measure(summary.b)}</b>
              {summary.low !== null && ` 95%: ${ends(summary.low, summary.high)}`}
            </p>
            <p class="sentence">{summary.sentence}</p>
            <p class="note">Both as they were recorded. The sliders move A, in the other views.</p>
            {found.notes?.map((note) => (
              <p key={note} class="note" dir="auto">
                {note}
              </p>
            ))}
          </div>
        )}
      </header>
      {rows.length ? (
        <Virtual
          label="Queries of both recordings"
          columns={columns.length}
          total={rows.length}
          height={36}
          stamp={rows}
          place={place}
          hold={(index) => (held.current = index === null ? null : (rows[index]?.query_id ?? null))}
          open={(index) => go({ query: rows[index]!.query_id, doc: null })}
          head={columns.map(([key, name, title]) => (
            <div
              key={key}
              role="columnheader"
              class={`cell ${key}`}
              title={title}
              aria-sort={sort.key === key ? (sort.down ? "descending" : "ascending") : undefined}
            >
              <button
                type="button"
                onClick={() => setSort((before) => ({ key, down: before.key === key ? !before.down : key !== "text" }))}
              >
                {name}
                <span aria-hidden="true" class="arrow">
                  {sort.key === key ? (sort.down ? "\u2193" : "\u2191") : ""}
                </span>
              </button>
            </div>
          ))}
          row={(index) => {
            const row = rows[index]!;
            return (
              <>
                <div
                  role="gridcell"
                  class={`cell text ${row.query_id === route.query ? "here" : ""}`}
                  dir="auto"
                  title={row.text ?? row.query_id}
                >
                  {row.text ?? row.query_id}
                </div>
                <div role="gridcell" class="cell difference">
                  <Diverging value={row.difference} most={1} />
                  <Change value={row.difference} />
                </div>
                <div role="gridcell" class="cell a">
                  {measure(row.a)}
                </div>
                <div role="gridcell" class="cell b">
                  {measure(row.b)}
                </div>
                <div role="gridcell" class="cell overlap">
                  {percent(row.overlap)}
                </div>
              </>
            );
          }}
        />
      ) : (
        <Empty>The two recordings have no query in common.</Empty>
      )}
      {route.query !== null ? (
        <Pair found={found} query={route.query} />
      ) : (
        rows.length > 0 && <p class="note">Pick a query to see what A and B answer, side by side.</p>
      )}
    </>
  );
}

function Pair({ found, query }: { found: Compared; query: string }) {
  const { saved } = useExplorer();
  const a = useAnswer<QueryAnswer>(address("api/query", { id: query, of: "a" }), saved);
  const b = useAnswer<QueryAnswer>(address("api/query", { id: query, of: "b" }), saved);
  return (
    <Answered answer={a} what="the results of A">
      {(left) => (
        <Answered answer={b} what="the results of B">
          {(right) => (
            <>
              <header class="query">
                <h2 dir="auto">{left.text ?? left.query_id}</h2>
              </header>
              <Flow
                key={query}
                query={query}
                text={left.text}
                left={left.after}
                right={right.after}
                leftTitle="A"
                leftHint={found.a.title}
                rightTitle="B"
                rightHint={found.b.title}
              />
            </>
          )}
        </Answered>
      )}
    </Answered>
  );
}
