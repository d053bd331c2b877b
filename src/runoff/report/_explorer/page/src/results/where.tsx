import { useEffect, useId, useRef, useState } from "preact/hooks";
import { useExplorer } from "../context";
import { address } from "../data";
import { useAnswer } from "../hooks";
import { Answered } from "../states";
import type { QueryAnswer, Way } from "../types";

/** "Where did document X go?" for any id, and the relevant documents that are not among the results. */
export function Where({ answer, wanted }: { answer: QueryAnswer; wanted: string | null }) {
  const { settings, go, saved } = useExplorer();
  const id = useId();
  const [typed, setTyped] = useState(wanted ?? "");
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    setTyped(wanted ?? "");
    if (wanted !== null) box.current?.scrollIntoView({ block: "nearest" });
  }, [wanted]);
  const way = useAnswer<Way>(
    wanted === null ? null : address("api/document", { query: answer.query_id, doc: wanted, settings }),
    saved,
  );
  return (
    <section class="where" ref={box}>
      {answer.relevant_missing.length > 0 && (
        <>
          <h3>
            Relevant, but not shown <small>{answer.relevant_missing.length}</small>
          </h3>
          <ul class="missing">
            {answer.relevant_missing.map((one) => (
              <li key={one.doc_id}>
                <span class={`grade g${one.grade}`} title={`grade ${one.grade}`}>
                  {one.grade}
                </span>
                <button type="button" class="link id" dir="auto" onClick={() => go({ doc: one.doc_id })}>
                  {one.doc_id}
                </button>
                <span dir="auto">{one.where}</span>
              </li>
            ))}
          </ul>
        </>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          go({ doc: typed.trim() || null });
        }}
      >
        <label for={id}>Where did document</label>
        <input
          id={id}
          data-key="d"
          type="text"
          list={`${id}-known`}
          placeholder="its id"
          autocomplete="off"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
        <span>go?</span>
        <button type="submit">Look</button>
        <datalist id={`${id}-known`}>
          {answer.before.slice(0, 50).map((item) => (
            <option key={item.doc_id} value={item.doc_id}>
              {item.title ?? undefined}
            </option>
          ))}
        </datalist>
      </form>
      {wanted !== null && (
        <Answered answer={way} what="its way">
          {(found) => (
            <div class="way">
              <p class="sentence" dir="auto">
                {found.sentence}
              </p>
              <Steps way={found} />
              {found.text && (
                <p class="excerpt" dir="auto">
                  {found.text.slice(0, 400)}
                  {found.text.length > 400 && "\u2026"}
                </p>
              )}
            </div>
          )}
        </Answered>
      )}
    </section>
  );
}

/** The way of a document, a stage at a time. */
export function Steps({ way }: { way: Way }) {
  return (
    <ol class="steps">
      {way.way.map((step, index) => (
        <li key={index} class={step.rank === null ? "absent" : undefined}>
          <b>
            <bdi>{step.stage}</bdi>
          </b>
          <span class="rank">{step.rank ?? "\u2013"}</span>
          <span dir="auto">{step.sentence}</span>
        </li>
      ))}
    </ol>
  );
}
