import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Data } from "./data";
import type { Knobs, Replay, State } from "./types";

const REST = 60; // milliseconds that a slider rests before it is asked for
const FULL = 450; // and until the decision is asked for, and the interval from all resamples

export interface Replaying {
  recorded: Knobs;
  knobs: Knobs;
  setKnobs(knobs: Knobs): void;
  changed: boolean;
  answer: Replay | null;
  error: Error | null;
  /** The decision has not come yet. */
  pending: boolean;
  /** The figures that are shown are of other settings. */
  outdated: boolean;
  retry(): void;
}

export function recordedKnobs({ settings }: State): Knobs {
  if (settings === null) return { window: null, blend: null, weights: {}, threshold: null };
  const { window, blend, weights, threshold } = settings;
  return { window, blend, weights, threshold };
}

const same = (a: Knobs, b: Knobs) => JSON.stringify(a) === JSON.stringify(b);

/** Replays the recording as the sliders say: figures at once, then the decision; the last answer wins. */
export function useReplay(data: Data, state: State): Replaying {
  const recorded = useMemo(() => recordedKnobs(state), [state]);
  const replayable = state.settings?.replayable ?? false;
  const [knobs, setKnobs] = useState(recorded);
  const [answer, setAnswer] = useState<Replay | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [pending, setPending] = useState(replayable);
  const [tries, setTries] = useState(0);
  const answered = useRef(recorded); // what the views show before any answer is as recorded
  useEffect(() => {
    if (!replayable) return;
    const stop = new AbortController();
    let decided = false;
    setPending(true);
    setError(null);
    const ask = (full: boolean) =>
      data
        .ask<Replay>("POST", "api/replay", full ? { ...knobs, full } : knobs, stop.signal)
        .then((found) => {
          if (stop.signal.aborted || (decided && !full)) return;
          decided = full;
          answered.current = knobs;
          setAnswer(found);
        })
        .catch((failure: Error) => !stop.signal.aborted && setError(failure))
        .finally(() => !stop.signal.aborted && full && setPending(false));
    const soon = setTimeout(() => ask(false), same(knobs, recorded) ? 0 : REST);
    const later = setTimeout(() => ask(true), FULL);
    return () => {
      clearTimeout(soon);
      clearTimeout(later);
      stop.abort();
    };
  }, [data, replayable, knobs, recorded, tries]);
  const retry = useCallback(() => setTries((before) => before + 1), []);
  const outdated = replayable && !same(knobs, answered.current);
  return { recorded, knobs, setKnobs, changed: !same(knobs, recorded), answer, error, pending, outdated, retry };
}
