import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";
import { useExplorer } from "../context";
import { address } from "../data";
import { count, NONE, score } from "../format";
import { useAnswer } from "../hooks";
import { segments } from "../segments";
import type { Item, Matches, Way } from "../types";
import { Steps } from "./where";

const SOME = 3000; // characters shown before "all"
const BLOCK = 20_000; // characters a block: the browser lays out only the blocks in sight

/** What unfolds: the text with marks and matches, the way of the document, and the grades. */
export function Full({
  item,
  query,
  queryText,
  judge,
}: {
  item: Item;
  query: string;
  queryText: string | null;
  judge: ComponentChildren;
}) {
  const { settings, data } = useExplorer();
  const [all, setAll] = useState(false);
  const [part, setPart] = useState<number | null>(null);
  const way = useAnswer<Way>(address("api/document", { query, doc: item.doc_id, settings }));
  const matches = useAnswer<Matches>(item.text ? address("api/matches", { query, doc: item.doc_id }) : null);
  const found = matches.value?.available ? matches.value.matches : [];
  const whole = way.value?.text ?? item.text;
  const text = all ? whole : item.text;
  const end = all ? (text?.length ?? 0) : Math.min(SOME, text?.length ?? 0);
  const blocks = useMemo(() => {
    if (!text) return [];
    const labelled = found.flatMap((one, label) =>
      one.document && (part === null || part === label) ? [{ span: one.document, label }] : [],
    );
    const cuts = [];
    for (let from = 0; from < end; from += BLOCK)
      cuts.push(segments(text, item.marks, labelled, from, Math.min(end, from + BLOCK)));
    return cuts;
  }, [text, end, item.marks, found, part]);
  return (
    <div class="full">
      {judge}
      {queryText && found.length > 0 && <Words text={queryText} found={found} part={part} choose={setPart} />}
      {text ? (
        <div class={`text ${part === null ? "" : "part"}`} dir="auto" tabIndex={end > 600 ? 0 : undefined} role="region" aria-label={`Text of ${item.doc_id}`}>
          {blocks.map((block, index) => (
            <div key={index} dir="auto">
              {block.map((one, place) =>
                one.label !== null ? (
                  <mark key={place} class="match" style={{ "--strength": strength(found[one.label]!.cosine) }}>
                    {one.text}
                  </mark>
                ) : one.marked ? (
                  <mark key={place}>{one.text}</mark>
                ) : (
                  one.text
                ),
              )}
            </div>
          ))}
        </div>
      ) : (
        <p class="note">The recording has no text of this document.</p>
      )}
      {whole && whole.length > end && (
        <p class="more">
          <button type="button" onClick={() => setAll(true)}>
            Show all {count(whole.length)} characters
          </button>
        </p>
      )}
      {item.fate && (
        <p class="fate" dir="auto">
          {item.fate}
        </p>
      )}
      {way.error ? (
        data.kind !== "embedded" && <p class="note">{way.error.message}</p>
      ) : way.value ? (
        <Steps way={way.value} />
      ) : (
        <p class="note">{way.slow ? "Still looking for its way." : "\u00a0"}</p>
      )}
      {matches.value && !matches.value.available && matches.value.why_not && (
        <p class="note" dir="auto">
          {matches.value.why_not}
        </p>
      )}
      <p class="facts">
        <span class="id" dir="auto">
          {item.doc_id}
        </span>
        {Object.entries(item.sources).map(([name, place]) => (
          <span key={name}>
            <bdi>{name}</bdi> {place ? `${place.rank ?? NONE} (${score(place.score)})` : "not found"}
          </span>
        ))}
      </p>
    </div>
  );
}

const strength = (cosine: number) => String(Math.max(0.12, Math.min(1, cosine)));

/** The words of the question; each shows the word of the document that it matched. */
function Words({
  text,
  found,
  part,
  choose,
}: {
  text: string;
  found: Matches["matches"];
  part: number | null;
  choose: (part: number | null) => void;
}) {
  const heaviest = Math.max(...found.map((one) => one.weight), 1e-9);
  return (
    <div class="words">
      <p class="note" id="words-note">
        Each word of the question and the word that it matched best. Point at one, or tab to it.
      </p>
      <ul aria-labelledby="words-note">
        {found.map((one, index) => (
          <li key={index}>
            <button
              type="button"
              aria-pressed={part === index}
              onMouseEnter={() => choose(index)}
              onMouseLeave={() => choose(null)}
              onFocus={() => choose(index)}
              onBlur={() => choose(null)}
              style={{ "--strength": strength(one.cosine), "--weight": String(one.weight / heaviest) }}
            >
              <bdi>{text.slice(...one.query)}</bdi> <small>{one.cosine.toFixed(2)}</small>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
