import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Data } from "./data";
import type { Knobs, Labels, Replay, State } from "./types";

export type View = "results" | "queries" | "losses" | "compare" | "trend";

export interface Route {
  view: View;
  query: string | null;
  doc: string | null;
}

/** What every view needs. */
export interface Explorer {
  data: Data;
  state: State;
  route: Route;
  go(to: Partial<Route>): void;
  knobs: Knobs;
  setKnobs(knobs: Knobs): void;
  /** The sliders stand elsewhere than recorded. */
  changed: boolean;
  /** The last replay, or null before it came. */
  replay: Replay | null;
  /** The key of the settings in force; null as recorded. */
  settings: string | null;
  /** The sliders stand where no answer has come from yet: what is shown is of earlier settings. */
  outdated: boolean;
  labels: Labels;
  grade(query: string, doc: string, grade: number | null): Promise<void>;
  /** What was graded on this page: "query doc" to grade. */
  grades: Map<string, number | null>;
  /** Grows with each saved grade: what was asked before may have changed. */
  saved: number;
  /** Says something to screen readers, and shows it for a moment. */
  say(sentence: string, kind?: "done" | "failed"): void;
}

export const Context = createContext<Explorer | null>(null);

export function useExplorer(): Explorer {
  const found = useContext(Context);
  if (found === null) throw new Error("a view stands outside of the explorer");
  return found;
}

export const graded = (query: string, doc: string) => `${query}\n${doc}`;
