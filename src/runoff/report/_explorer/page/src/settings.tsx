import { useId } from "preact/hooks";
import { useExplorer } from "./context";
import { Change, FromTo, Interval, sure } from "./figures";
import { count, ends, milliseconds, percent, plural } from "./format";
import { useRested } from "./hooks";
import type { Replaying } from "./replay";
import type { Knobs } from "./types";

/** The verdict and the sliders: beside the view where there is room, folded above it where there is not. */
export function Settings({
  replay,
  wide,
  open,
  onToggle,
}: {
  replay: Replaying;
  wide: boolean;
  open: boolean;
  onToggle: (open: boolean) => void;
}) {
  if (wide)
    return (
      <aside class="settings" aria-label="Verdict and settings">
        <Verdict replay={replay} />
        <Sliders replay={replay} />
        <Notes />
      </aside>
    );
  return (
    <details
      class="settings"
      open={open}
      onToggle={(event) => onToggle(event.currentTarget.open)}
    >
      <summary>
        <Line replay={replay} />
      </summary>
      <Verdict replay={replay} />
      <Sliders replay={replay} />
      <Notes />
    </details>
  );
}

function Line({ replay }: { replay: Replaying }) {
  const { state } = useExplorer();
  const summary = replay.answer?.summary;
  return (
    <>
      <span>Verdict and settings</span>
      {summary && summary.gain !== null && (
        <span class={`line ${replay.outdated ? "stale" : ""}`}>
          {summary.measure || state.measure} <FromTo before={summary.before} after={summary.after} />{" "}
          <Change value={summary.gain} />
        </span>
      )}
    </>
  );
}

function Verdict({ replay }: { replay: Replaying }) {
  const { state, go } = useExplorer();
  const { answer, error, pending, outdated } = replay;
  const late = useRested(outdated, 400) && outdated && !error;
  const summary = answer?.summary;
  return (
    <section class={`verdict ${pending ? "pending" : ""} ${outdated ? "outdated" : ""}`} aria-busy={pending}>
      <h2>What the second stage {state.kind === "compare" ? "of A is" : "is"} worth</h2>
      {error && (
        <p class="failed" role="alert">
          <span dir="auto">{error.message}</span>{" "}
          <button type="button" onClick={replay.retry}>
            Try again
          </button>
        </p>
      )}
      {summary && summary.gain === null ? (
        <p class="sentence">{summary.sentence}</p>
      ) : summary && summary.gain !== null ? (
        <>
          <p class="big">
            <span class={sure(summary.low, summary.high) ? undefined : "unsure"}>
              <Change value={summary.gain} />
            </span>{" "}
            <small>{summary.measure}</small>
          </p>
          <Interval value={summary.gain} low={summary.low} high={summary.high} />
          <p class="figures">
            <span>
              <FromTo before={summary.before} after={summary.after} />
              {summary.against && <small dir="auto"> against {summary.against}</small>}
            </span>
            {summary.low !== null && summary.high !== null && (
              <span>95%: {ends(summary.low, summary.high)}</span>
            )}
          </p>
          <p class="sentence" aria-live="polite">
            {late ? "Replaying these settings." : summary.sentence}
            {pending && !outdated && !error && <span class="note"> The decision is on its way.</span>}
          </p>
        </>
      ) : state.kind === "observations" ? (
        <p class="sentence">
          What is proven about live traffic is in the{" "}
          <button type="button" class="link" onClick={() => go({ view: "trend" })}>
            trend
          </button>
          .
        </p>
      ) : state.counts.judged === 0 ? (
        <p class="sentence">
          No judged queries, so nobody can say yet whether the second stage helps.{" "}
          {state.can_judge
            ? "Grade some results: focus one and press 0, 1, 2 or 3."
            : "Open the explorer with a collection that has judgments."}
        </p>
      ) : (
        !error && (
          <p class="sentence">
            {(state.settings?.replayable ? null : state.settings?.why_not) ?? (pending ? "Computing the verdict." : "There is no verdict for these settings.")}
          </p>
        )
      )}
      <dl class="small">
        {answer?.latency && (
          <div>
            <dt>Latency{answer.latency.estimated ? " (est.)" : ""}</dt>
            <dd>
              p50{"\u00a0"}
              {milliseconds(answer.latency.p50)}, p95{"\u00a0"}
              {milliseconds(answer.latency.p95)}
            </dd>
          </div>
        )}
        {answer && replay.changed && (
          <div>
            <dt>Changed</dt>
            <dd>
              {plural(answer.changed, "query", "queries")}, in {milliseconds(answer.took_ms)}
            </dd>
          </div>
        )}
        {summary?.unjudged !== null && summary?.unjudged !== undefined && (
          <div>
            <dt>Unjudged</dt>
            <dd>
              {percent(summary.unjudged)} of the first {summary.measure.split("@")[1]} results
            </dd>
          </div>
        )}
        <div>
          <dt>Queries</dt>
          <dd>
            {count(state.counts.queries)}
            {state.kind !== "observations" && `, ${count(state.counts.judged)} judged`}
            {state.counts.degraded > 0 && `, ${count(state.counts.degraded)} degraded`}
          </dd>
        </div>
      </dl>
    </section>
  );
}

function Sliders({ replay }: { replay: Replaying }) {
  const { state } = useExplorer();
  if (state.settings === null) return null;
  const { ranges, replayable, why_not, fusion } = state.settings;
  const held = replay.answer?.body;
  const { knobs, recorded, setKnobs } = replay;
  const set = (part: Partial<Knobs>) => setKnobs({ ...knobs, ...part });
  if (!replayable && !state.live)
    return (
      <section class="sliders">
        <h2>Settings</h2>
        <p class="note">{why_not ?? "The settings of this system cannot be replayed."}</p>
      </section>
    );
  const several = Object.keys(knobs.weights).length > 1;
  return (
    <section class="sliders">
      <h2>
        Settings
        {replay.changed && (
          <button type="button" onClick={() => setKnobs(recorded)}>
            As recorded
          </button>
        )}
      </h2>
      {why_not && <p class="note">{why_not}</p>}
      {knobs.window !== null && ranges.window && (
        <Slider
          name="Window"
          hint="candidates that the reranker reads"
          value={knobs.window}
          was={recorded.window}
          range={ranges.window}
          step={1}
          set={(window) => set({ window })}
        />
      )}
      {ranges.blend && (
        <Slider
          name="Blend"
          hint="0: the first stage alone; 1: the reranker alone"
          value={knobs.blend ?? 1}
          was={recorded.blend ?? 1}
          range={ranges.blend}
          step={0.05}
          set={(blend) => set({ blend })}
        />
      )}
      {several && ranges.weight && (
        <fieldset>
          <legend>
            Weights {fusion && <small dir="auto">in {fusion}</small>}
          </legend>
          {Object.entries(knobs.weights).map(([source, weight]) => (
            <Slider
              key={source}
              name={source}
              value={weight}
              was={recorded.weights[source] ?? null}
              range={ranges.weight!}
              step={0.05}
              set={(value) => set({ weights: { ...knobs.weights, [source]: value } })}
            />
          ))}
        </fieldset>
      )}
      {ranges.threshold && (
        <fieldset>
          <label class="switch">
            <input
              type="checkbox"
              checked={knobs.threshold !== null}
              onChange={(event) =>
                set({ threshold: event.currentTarget.checked ? (recorded.threshold ?? ranges.threshold![0]) : null })
              }
            />{" "}
            Leave out results below a threshold
          </label>
          {knobs.threshold !== null && (
            <Slider
              name="Threshold"
              hint="the lowest rerank score"
              value={knobs.threshold}
              was={recorded.threshold}
              range={ranges.threshold}
              step={(ranges.threshold[1] - ranges.threshold[0]) / 100}
              set={(threshold) => set({ threshold })}
            />
          )}
        </fieldset>
      )}
      {replay.answer?.limit && !replay.outdated && (
        <p class="note" role="status">
          {replay.answer.limit}
        </p>
      )}
      {held && JSON.stringify(held) !== JSON.stringify(knobs) && (
        <p class="note">This file holds some settings. Shown is the nearest: {said(held)}.</p>
      )}
    </section>
  );
}

function said(knobs: Knobs): string {
  return [
    knobs.window !== null && `window ${knobs.window}`,
    knobs.blend !== null && `blend ${knobs.blend.toFixed(2)}`,
    ...Object.entries(knobs.weights).map(([source, weight]) => `${source} ${weight.toFixed(2)}`),
    knobs.threshold !== null && `threshold ${knobs.threshold.toFixed(2)}`,
  ]
    .filter(Boolean)
    .join(", ");
}

function Slider({
  name,
  hint,
  value,
  was,
  range: [low, high],
  step,
  set,
}: {
  name: string;
  hint?: string;
  value: number;
  was: number | null;
  range: [number, number];
  step: number;
  set: (value: number) => void;
}) {
  const id = useId();
  const digits = Number.isInteger(step) ? 0 : 2;
  return (
    <div class={`slider ${was !== null && was !== value ? "moved" : ""}`}>
      <label for={id} dir="auto">
        {name}
      </label>
      <output for={id}>
        {value.toFixed(digits)}
        {was !== null && was !== value && <small> was {was.toFixed(digits)}</small>}
      </output>
      <input
        id={id}
        type="range"
        min={low}
        max={high}
        step={step}
        value={value}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onInput={(event) => set(event.currentTarget.valueAsNumber)}
      />
      {hint && <small id={`${id}-hint`}>{hint}</small>}
    </div>
  );
}

/** What a reader must know, and where the grades go. */
export function Notes() {
  const { state, labels } = useExplorer();
  return (
    <section class="notes">
      {state.notes.length > 0 && (
        <>
          <h2>To know</h2>
          <ul>
            {state.notes.map((note) => (
              <li key={note} dir="auto">
                {note}
              </li>
            ))}
          </ul>
        </>
      )}
      {state.can_judge && (
        <p class="note" dir="auto">
          {labels.path ? (
            `${plural(labels.count, "grade")} in ${labels.path}`
          ) : labels.count ? (
            <>
              {plural(labels.count, "grade")}, lost when the explorer stops. <code>--labels&nbsp;FILE</code> saves them.
            </>
          ) : (
            "Nothing graded on this page yet."
          )}
        </p>
      )}
    </section>
  );
}
