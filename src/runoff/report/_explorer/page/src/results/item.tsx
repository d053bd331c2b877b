import { useExplorer } from "../context";
import { NONE, score } from "../format";
import { opening, segments } from "../segments";
import type { Item } from "../types";
import { Full } from "./full";

const GRADES = [
  [0, "not relevant"],
  [1, "related"],
  [2, "relevant"],
  [3, "exactly right"],
] as const;
const EXCERPT = 320; // characters

/** One result: a row that unfolds. */
export function Result({
  item,
  query,
  queryText,
  other,
  side,
  reranked,
  open,
  lit,
  toggle,
  light,
}: {
  item: Item;
  query: string;
  queryText: string | null;
  /** The rank of the same document in the other order. */
  other: number | null;
  side: "left" | "right";
  /** The second stage had its say in this order. */
  reranked: boolean;
  open: boolean;
  lit: boolean;
  toggle: () => void;
  light: (on: boolean) => void;
}) {
  return (
    <li
      class={`result ${lit ? "lit" : ""} ${open ? "open" : ""} ${(item.grade ?? 0) > 0 ? "relevant" : ""}`}
      data-row={item.doc_id}
      onMouseEnter={() => light(true)}
      onMouseLeave={() => light(false)}
      onFocusCapture={() => light(true)}
      onBlurCapture={() => light(false)}
    >
      <button type="button" class="fold" aria-expanded={open} onClick={toggle}>
        <span class="rank">{item.rank}</span>
        <Move rank={item.rank} other={other} side={side} />
        <span class="body">
          <Heading item={item} />
          {!open && <Excerpt item={item} />}
        </span>
        <Grade grade={item.grade} />
      </button>
      <p class="trail">
        <Trail item={item} reranked={reranked} />
      </p>
      {open && <Full item={item} query={query} queryText={queryText} judge={<Judge item={item} query={query} />} />}
    </li>
  );
}

/** How far it moved, from the left list's view or the right's. */
function Move({ rank, other, side }: { rank: number; other: number | null; side: "left" | "right" }) {
  if (other === null)
    return (
      <span class="move same" title={`not among what is shown on the ${side === "left" ? "right" : "left"}`}>
        {side === "left" ? "out" : "new"}
      </span>
    );
  const by = side === "left" ? rank - other : other - rank;
  const said = by === 0 ? "same place" : `${by > 0 ? "up" : "down"} ${Math.abs(by)}, ${side === "left" ? "to" : "from"} ${other}`;
  return (
    <span class={`move ${by > 0 ? "up" : by < 0 ? "down" : "same"}`} title={said}>
      <span aria-hidden="true">{by === 0 ? "=" : `${by > 0 ? "\u25b2" : "\u25bc"}${Math.abs(by)}`}</span>
      <span class="sr">{said}</span>
    </span>
  );
}

function Heading({ item }: { item: Item }) {
  if (item.title)
    return (
      <span class="title" dir="auto">
        {item.title}
      </span>
    );
  return (
    <span class="title id" dir="auto">
      {item.doc_id}
    </span>
  );
}

function Excerpt({ item }: { item: Item }) {
  if (!item.text) return null;
  const start = opening(item.text, item.marks);
  const end = Math.min(item.text.length, start + EXCERPT);
  return (
    <span class="excerpt" dir="auto">
      {start > 0 && "\u2026 "}
      {segments(item.text, item.marks, [], start, end).map((one, index) =>
        one.marked ? <mark key={index}>{one.text}</mark> : one.text,
      )}
    </span>
  );
}

function Grade({ grade }: { grade: number | null }) {
  const said = grade === null ? "not judged" : `grade ${grade}`;
  return (
    <span class={`grade ${grade === null ? "none" : `g${grade}`}`} title={said}>
      <span aria-hidden="true">{grade ?? "?"}</span>
      <span class="sr">{said}</span>
    </span>
  );
}

/** Where each source had it, and what the stages gave it. */
function Trail({ item, reranked }: { item: Item; reranked: boolean }) {
  return (
    <>
      {Object.entries(item.sources).map(([name, place]) => (
        <span key={name} class={place ? "" : "absent"} title={place ? `rank ${place.rank ?? NONE}, score ${score(place.score)}` : "not found by it"}>
          <bdi>{name}</bdi> {place?.rank ?? NONE}
        </span>
      ))}
      <span title="the rank after fusion (and the score)">
        fused {item.fusion_rank ?? NONE} <i>({score(item.fusion_score)})</i>
      </span>
      {reranked &&
        (item.scored ? (
          <span title="the rank that the second stage gave (and the score)">
            rerank {item.rerank_rank ?? NONE} <i>({score(item.rerank_score)})</i>
          </span>
        ) : (
          <span class="absent">not scored</span>
        ))}
      {item.truncated && (
        <span class="tag warn" title="the reranker did not read its whole text">
          truncated
        </span>
      )}
    </>
  );
}

/** The four grades as buttons. */
function Judge({ item, query }: { item: Item; query: string }) {
  const { state, grade } = useExplorer();
  if (!state.can_judge) return null;
  return (
    <div class="judge" role="group" aria-label="Grade">
      {GRADES.map(([value, said]) => (
        <button
          key={value}
          type="button"
          aria-pressed={item.grade === value}
          title={`${said} (${value})`}
          onClick={() => void grade(query, item.doc_id, value)}
        >
          <b>{value}</b> {said}
        </button>
      ))}
      <button type="button" disabled={item.grade === null} title="Remove the grade (x)" onClick={() => void grade(query, item.doc_id, null)}>
        remove
      </button>
    </div>
  );
}
