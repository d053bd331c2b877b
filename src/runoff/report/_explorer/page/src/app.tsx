import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Compare } from "./compare";
import { Context, graded, type Explorer, type View } from "./context";
import type { Data } from "./data";
import { Header } from "./header";
import { Help } from "./help";
import { press } from "./keys";
import { Losses } from "./losses";
import { Queries } from "./queries";
import { useReplay } from "./replay";
import { Results } from "./results/view";
import { Notes, Settings } from "./settings";
import { Failed, Waiting } from "./states";
import { useTheme } from "./theme";
import { Trends } from "./trend";
import type { Labels, State } from "./types";
import { useRoute } from "./route";
import { useWidth } from "./hooks";

const WIDE = 1080;

/** Loads the state, then shows the explorer. */
export function App({ data, paged }: { data: Data; paged: boolean }) {
  const [state, setState] = useState<State | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [slow, setSlow] = useState(false);
  const theme = useTheme();
  const load = useCallback(() => {
    setError(null);
    const timer = setTimeout(() => setSlow(true), 1500);
    data
      .ask<State>("GET", "api/state")
      .then(setState, setError)
      .finally(() => clearTimeout(timer));
  }, [data]);
  useEffect(load, [load]);
  return (
    <div class="runoff-explorer" data-theme={theme.chosen} data-lm-suppress-shortcuts="true">
      {state ? (
        <Loaded data={data} state={state} paged={paged} theme={theme} />
      ) : error ? (
        <Failed error={error} retry={load} />
      ) : (
        <>
          <Waiting what="the recording" slow={slow} />
          {slow && data.kind === "widget" && (
            <p class="failed">
              The notebook's kernel has to run, and to be done with other cells. For a page that needs none, call
              explore("page.html").
            </p>
          )}
        </>
      )}
    </div>
  );
}

/** The views that this state has something for. */
function views(state: State): View[] {
  const found: View[] = [];
  if (state.kind !== "observations" || state.counts.queries) found.push("results");
  if (state.counts.queries) found.push("queries");
  if (state.counts.judged) found.push("losses");
  if (state.can_compare) found.push("compare");
  if (state.has_trend ?? state.kind === "observations") found.push("trend");
  return found.length ? found : ["results"];
}

function Loaded({
  data,
  state,
  paged,
  theme,
}: {
  data: Data;
  state: State;
  paged: boolean;
  theme: ReturnType<typeof useTheme>;
}) {
  const shown = useMemo(() => views(state), [state]);
  const first = state.kind === "observations" ? "trend" : state.kind === "compare" ? "compare" : shown[0]!;
  const [route, go] = useRoute(paged, shown.includes(first) ? first : shown[0]!);
  const [help, setHelp] = useState(false);
  const [open, setOpen] = useState(false);
  const [labels, setLabels] = useState<Labels>(state.labels);
  const [grades, setGrades] = useState<Map<string, number | null>>(new Map());
  const [saved, setSaved] = useState(0);
  const [said, setSaid] = useState<{ sentence: string; kind: string } | null>(null);
  const [watch, width] = useWidth();
  const root = useRef<HTMLDivElement | null>(null);
  const fade = useRef(0);
  const replay = useReplay(data, state);

  const say = useCallback((sentence: string, kind = "done") => {
    clearTimeout(fade.current);
    setSaid({ sentence, kind });
    fade.current = window.setTimeout(() => setSaid(null), kind === "failed" ? 8000 : 2500);
  }, []);

  const grade = useCallback(
    async (query: string, doc: string, value: number | null) => {
      const key = graded(query, doc);
      const before = grades;
      setGrades((held) => new Map(held).set(key, value));
      try {
        const answer = await data.ask<{ labels: Labels }>("POST", "api/labels", {
          query_id: query,
          doc_id: doc,
          grade: value,
        });
        setLabels(answer.labels);
        setSaved((held) => held + 1);
        replay.retry();
        say(value === null ? "Grade removed" : `Graded ${value}${answer.labels.path ? ", saved" : ""}`);
      } catch (error) {
        setGrades((held) => {
          const undone = new Map(held);
          if (before.has(key)) undone.set(key, before.get(key)!);
          else undone.delete(key);
          return undone;
        });
        say(`Not saved: ${(error as Error).message}`, "failed");
      }
    },
    [data, grades, replay.retry, say],
  );

  const explorer: Explorer = {
    data,
    state,
    route,
    go,
    knobs: replay.knobs,
    setKnobs: replay.setKnobs,
    changed: replay.changed,
    replay: replay.answer,
    settings: replay.answer?.settings === state.settings?.key ? null : (replay.answer?.settings ?? null),
    outdated: replay.outdated,
    labels,
    grade,
    grades,
    saved,
    say,
  };

  const wide = width >= WIDE;
  const to = (view: View) => () => shown.includes(view) && go({ view });
  const find = (selector: string) => () => root.current?.querySelector<HTMLElement>(selector)?.focus();
  const onKeyDown = (event: KeyboardEvent) => {
    if (help) return;
    press(
      {
        "?": () => setHelp(true),
        "/": find("[data-key='/']"),
        d: find("[data-key='d']"),
        r: to("results"),
        q: to("queries"),
        l: to("losses"),
        c: to("compare"),
        w: to("trend"),
        t: theme.next,
        s: () => {
          setOpen(true);
          setTimeout(find(".settings input, .settings summary"));
        },
      },
      event,
    );
    if (!paged) event.stopPropagation(); // a notebook has shortcuts of its own
  };

  // keys work before anything has the focus, but in a notebook only inside the cell
  useEffect(() => {
    if (!paged) return;
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  });

  const View = { results: Results, queries: Queries, losses: Losses, compare: Compare, trend: Trends }[route.view];
  return (
    <Context.Provider value={explorer}>
      <div
        class={`shell ${wide ? "wide" : width < 640 ? "narrow" : "middle"}`}
        ref={(element) => {
          root.current = element;
          watch(element);
        }}
        {...(!paged && { onKeyDown, tabIndex: -1 })}
      >
        <Header views={shown} theme={theme} help={() => setHelp(true)} />
        <div class={state.settings ? "columns" : "column"}>
          {state.settings && <Settings replay={replay} wide={wide} open={open} onToggle={setOpen} />}
          <main>
            <View />
            {!state.settings && <Notes />}
          </main>
        </div>
        <div class={`toast ${said?.kind ?? ""}`} role="status" aria-live="polite">
          {said && <span dir="auto">{said.sentence}</span>}
        </div>
        {help && <Help close={() => setHelp(false)} />}
      </div>
    </Context.Provider>
  );
}
