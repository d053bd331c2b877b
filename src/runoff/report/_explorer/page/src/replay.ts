import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { Data } from "./data";
import type { Knobs, Replay, State } from "./types";

const REST = 60; // milliseconds that a slider rests before it is asked for
const FULL = 450; // and until the interval is computed from all resamples

export interface Replaying {
  recorded: Knobs;
  knobs: Knobs;
  setKnobs(knobs: Knobs): void;
  changed: boolean;
  answer: Replay | null;
  error: Error | null;
  pending: boolean;
  retry(): void;
}

export function recordedKnobs({ settings }: State): Knobs {
  if (settings === null) return { window: null, blend: null, weights: {}, threshold: null };
  const { window, blend, weights, threshold } = settings;
  return { window, blend, weights, threshold };
}

const same = (a: Knobs, b: Knobs) => JSON.stringify(a) === JSON.stringify(b);

/** Replays the recording as the sliders say, at once; the last answer wins. */
export function useReplay(data: Data, state: State): Replaying {
  const recorded = useMemo(() => recordedKnobs(state), [state]);
  const [knobs, setKnobs] = useState(recorded);
  const [answer, setAnswer] = useState<Replay | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [pending, setPending] = useState(false);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (!state.settings?.replayable) return;
    const stop = new AbortController();
    setPending(true);
    setError(null);
    const ask = (body: unknown) =>
      data
        .ask<Replay>("POST", "api/replay", body, stop.signal)
        .then((found) => !stop.signal.aborted && setAnswer(found))
        .catch((failure: Error) => !stop.signal.aborted && setError(failure))
        .finally(() => !stop.signal.aborted && setPending(false));
    const soon = setTimeout(() => ask(knobs), same(knobs, recorded) ? 0 : REST);
    const later = setTimeout(() => ask({ ...knobs, full: true }), FULL);
    return () => {
      clearTimeout(soon);
      clearTimeout(later);
      stop.abort();
    };
  }, [data, state, knobs, recorded, tries]);
  const retry = useCallback(() => setTries((before) => before + 1), []);
  return { recorded, knobs, setKnobs, changed: !same(knobs, recorded), answer, error, pending, retry };
}
