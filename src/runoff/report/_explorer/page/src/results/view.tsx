import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useExplorer } from "../context";
import { address } from "../data";
import { Change, FromTo, Latency } from "../figures";
import { language } from "../format";
import { useAnswer } from "../hooks";
import { start } from "../queries";
import { Answered, Empty, Failed, Waiting } from "../states";
import type { QueryAnswer, QueryRows } from "../types";
import { Ask } from "./ask";
import { Flow } from "./flow";
import { Where } from "./where";

const MORE = 100; // documents on each side

/** One question: its results before and after the second stage. */
export function Results() {
  const { state, data, route, go, settings, knobs, changed, saved, outdated } = useExplorer();
  const first = useAnswer<QueryRows>(
    route.query === null && state.counts.queries > 0
      ? address("api/queries", { ...start(state), offset: 0, limit: 1 })
      : null,
  );
  const top = first.value?.rows[0]?.query_id;
  useEffect(() => {
    if (route.query === null && top !== undefined) go({ query: top });
  }, [route.query, top, go]);

  // a live answer has an id like any other, but only the search has its settings
  const [live, setLive] = useState<QueryAnswer | null>(null);
  const [asking, setAsking] = useState<{ text: string; slow: boolean } | null>(null);
  const [failed, setFailed] = useState<{ text: string; error: Error } | null>(null);
  const stop = useRef<AbortController | null>(null);
  const ask = useCallback(
    (text: string) => {
      stop.current?.abort();
      const mine = (stop.current = new AbortController());
      setFailed(null);
      setAsking({ text, slow: false });
      const timer = setTimeout(() => setAsking({ text, slow: true }), 1500);
      data
        .ask<QueryAnswer>("POST", "api/search", { text, filters: null, settings: changed ? knobs : null }, mine.signal)
        .then(
          (found) => {
            if (mine.signal.aborted) return;
            setLive(found);
            go({ query: found.query_id, doc: null });
          },
          (error: Error) => !mine.signal.aborted && setFailed({ text, error }),
        )
        .finally(() => {
          clearTimeout(timer);
          if (!mine.signal.aborted) setAsking(null);
        });
    },
    [data, go, knobs, changed],
  );
  const stopAsking = () => {
    stop.current?.abort();
    setAsking(null);
  };

  // more of both lists than at first, once the reader asks for them
  const [further, setFurther] = useState<string | null>(null);
  const shown = further !== null && further === route.query ? MORE : null;
  const more = data.kind === "embedded" || shown !== null ? undefined : () => setFurther(route.query);
  const isLive = live !== null && live.query_id === route.query;
  const path = route.query === null || isLive ? null : address("api/query", { id: route.query, settings, shown });
  const answer = useAnswer<QueryAnswer>(path, saved);
  return (
    <section class="results">
      <Ask ask={ask} asking={asking !== null} />
      {asking ? (
        <Waiting what="the search" slow={asking.slow} stop={stopAsking} />
      ) : failed ? (
        <Failed error={failed.error} retry={() => ask(failed.text)} />
      ) : isLive ? (
        <Shown answer={live} />
      ) : first.error ? (
        <Failed error={first.error} retry={first.retry} />
      ) : route.query === null && !first.pending ? (
        <Empty>
          {state.live ? (
            <p>Ask a question to see its results before and after the second stage.</p>
          ) : (
            <p>This recording has no queries. Record some with `runoff evaluate`, or open a system with `runoff explore --system`.</p>
          )}
        </Empty>
      ) : (
        <Answered answer={answer} what="the results" outdated={outdated}>
          {(found) => <Shown answer={found} more={more} />}
        </Answered>
      )}
    </section>
  );
}

function Shown({ answer, more }: { answer: QueryAnswer; more?: (() => void) | undefined }) {
  const { state, route } = useExplorer();
  return (
    <>
      <header class="query">
        <h2 dir="auto" tabIndex={(answer.text ?? "").length > 400 ? 0 : undefined}>
          {answer.text ?? answer.query_id}
        </h2>
        <p class="facts">
          {answer.measure && answer.measure.after !== null ? (
            <span>
              {state.measure} <FromTo before={answer.measure.before} after={answer.measure.after} />{" "}
              <Change value={answer.measure.gain} />
            </span>
          ) : (
            <span>{state.can_judge ? "Not judged: unfold a result to grade it, or press 0 to 3 on it" : "Not judged"}</span>
          )}
          {answer.language && <span>{language(answer.language)}</span>}
          {answer.text !== null && (
            <span class="id" title={answer.query_id}>
              {answer.query_id}
            </span>
          )}
        </p>
        <Latency stages={answer.latency} />
        {answer.outcome && answer.outcome.status !== "complete" && (
          <div class="warning" role="note">
            <b>{answer.outcome.status}</b>{" "}
            {answer.outcome.sentences.map((sentence) => (
              <span key={sentence} dir="auto">
                {sentence}{" "}
              </span>
            ))}
          </div>
        )}
        {answer.as_recorded && (
          <p class="note">
            This file has the results as they were recorded: the settings change the figures, not the lists.
          </p>
        )}
        {!state.has_texts && (
          <p class="note">
            The recording has no texts: documents are shown by their ids. Record with <code>texts=True</code>, or name the
            collection with <code>--collection</code>.
          </p>
        )}
      </header>
      <Flow
        key={answer.query_id}
        query={answer.query_id}
        text={answer.text}
        left={answer.before}
        right={answer.after}
        leftTitle="Before"
        leftHint="first stage, fused"
        rightTitle="After"
        rightHint="second stage"
        fused
        {...(more && { more })}
        {...(answer.measure && { measures: { left: answer.measure.before, right: answer.measure.after } })}
      />
      <Where answer={answer} wanted={route.doc} />
    </>
  );
}
