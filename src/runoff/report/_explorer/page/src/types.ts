/** What the Python side answers; its `Explorer.answer` documents the addresses. */

export interface Range {
  window: [number, number] | null;
  blend: [number, number] | null;
  weight: [number, number] | null;
  threshold: [number, number] | null;
}

export interface Knobs {
  window: number | null;
  blend: number | null;
  weights: Record<string, number>;
  threshold: number | null;
}

export interface State {
  version: string;
  kind: "recording" | "live" | "observations" | "compare";
  title: string;
  has_texts: boolean;
  live: boolean;
  can_judge: boolean;
  can_compare: boolean;
  has_trend?: boolean;
  sources: string[];
  measure: string | null;
  counts: { queries: number; judged: number; degraded: number };
  slices: string[];
  languages: string[];
  /** null for observations, which cannot be replayed. */
  settings:
    | (Knobs & {
        /** The key of the recorded settings. */
        key: string;
        fusion: string | null;
        ranges: Range;
        replayable: boolean;
        why_not: string | null;
      })
    | null;
  labels: Labels;
  notes: string[];
}

export interface Labels {
  path: string | null;
  count: number;
}

export interface QueryRow {
  query_id: string;
  text: string | null;
  gain: number | null;
  before: number | null;
  after: number | null;
  loss: number | null;
  loss_stage: string | null;
  length: number | null;
  language: string | null;
  slices: string[];
  unjudged: number | null;
  judged: boolean | null;
  outcome: string | null;
  latency_ms: number | null;
  /** When it was asked, in seconds since 1970; null in a recording. */
  time: number | null;
}

export interface QueryRows {
  total: number;
  /** The place of the first of these rows. */
  offset: number;
  /** The place of the query that was asked for by its id; null if it is not in the list, or none was. */
  place: number | null;
  rows: QueryRow[];
}

export type Span = [number, number];

export interface Place {
  rank: number | null;
  score: number | null;
}

export interface Item {
  doc_id: string;
  title: string | null;
  text: string | null;
  /** The text is longer; `api/document` has all of it. */
  text_cut?: boolean;
  rank: number;
  sources: Record<string, Place | null>;
  fusion_rank: number | null;
  fusion_score: number | null;
  rerank_rank: number | null;
  rerank_score: number | null;
  scored: boolean;
  truncated: boolean;
  fate: string | null;
  grade: number | null;
  marks: Span[];
}

export interface Stage {
  stage: string;
  ms: number;
}

export interface QueryAnswer {
  /** A file holds only what was recorded: other settings change the figures, not this. */
  as_recorded?: boolean;
  query_id: string;
  text: string | null;
  language: string | null;
  outcome: { status: string; sentences: string[] } | null;
  latency: Stage[];
  measure: { before: number | null; after: number | null; gain: number | null } | null;
  before: Item[];
  after: Item[];
  relevant_missing: { doc_id: string; grade: number; where: string }[];
}

export interface Way {
  doc_id: string;
  text: string | null;
  grade: number | null;
  way: { stage: string; sentence: string; rank: number | null; score: number | null }[];
  sentence: string;
}

export interface Matches {
  available: boolean;
  why_not: string | null;
  matches: { query: Span; document: Span | null; cosine: number; weight: number }[];
}

export interface Summary {
  measure: string;
  before: number | null;
  after: number | null;
  gain: number | null;
  low: number | null;
  high: number | null;
  sentence: string;
  unjudged: number | null;
  /** What `before` is: the best system without a second stage, or the fused order. */
  against?: string | null;
  fused?: number | null;
}

export interface Replay {
  /** What a file that holds a few settings answered for: the nearest. */
  body?: Knobs;
  settings: string | null;
  /** Why the recording could not replay all that was asked; what it replayed is the nearest. */
  limit?: string | null;
  took_ms: number;
  summary: Summary | null;
  latency: { p50: number | null; p95: number | null; estimated: boolean } | null;
  changed: number;
  per_query: Record<string, number | null>;
}

export interface Losses {
  as_recorded?: boolean;
  total: number;
  ideal?: number | null;
  achieved?: number | null;
  notes?: string[];
  stages: {
    stage: string;
    label: string;
    loss: number;
    share: number;
    /** How many documents were lost here. */
    documents?: number | null;
    examples: { query_id: string; text: string | null; doc_id: string; loss: number; where?: string | null }[];
  }[];
  sentence: string;
}

export interface Trend {
  series: {
    name: string;
    points: { at: string; value: number | null; low: number | null; high: number | null; n: number }[];
    /** Of the band, at every look. */
    confidence: number;
  }[];
  slices: { name: string; decision: string; value: number; low: number; high: number; n: number }[];
  statement: string;
  alarms: string[];
  notes: string[];
}

export interface Compared {
  a: { title: string; settings: string };
  b: { title: string; settings: string };
  summary: {
    measure: string;
    a: number;
    b: number;
    difference: number;
    low: number | null;
    high: number | null;
    sentence: string;
  } | null;
  notes?: string[];
  rows: {
    query_id: string;
    text: string | null;
    a: number | null;
    b: number | null;
    difference: number | null;
    overlap: number | null;
  }[];
}
