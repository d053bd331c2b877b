import type { Span } from "./types";

export interface Segment {
  text: string;
  marked: boolean;
  /** The strongest labelled span over this text, if there is one. */
  label: number | null;
}

/**
 * Cuts `text` from `start` to `end` where a mark or a labelled span begins or ends.
 *
 * Spans are UTF-16 offsets into the whole text; they may overlap, and bad ones are left out.
 */
export function segments(
  text: string,
  marks: Span[],
  labelled: { span: Span; label: number }[] = [],
  start = 0,
  end = text.length,
): Segment[] {
  const inside = ([from, to]: Span) => from < to && to > start && from < end;
  const kept = marks.filter(inside);
  const named = labelled.filter((one) => inside(one.span));
  const edges = new Set([start, end]);
  for (const [from, to] of [...kept, ...named.map((one) => one.span)]) {
    edges.add(Math.max(start, from));
    edges.add(Math.min(end, to));
  }
  const places = [...edges].sort((a, b) => a - b);
  const found: Segment[] = [];
  for (let index = 0; index + 1 < places.length; index++) {
    const from = places[index]!;
    const to = places[index + 1]!;
    const over = ([first, last]: Span) => first <= from && last >= to;
    found.push({
      text: text.slice(from, to),
      marked: kept.some(over),
      label: named.find((one) => over(one.span))?.label ?? null,
    });
  }
  return found;
}

/** Where an excerpt starts so that its first mark is seen: at a space, not within a word. */
export function opening(text: string, marks: Span[], within = 110): number {
  const first = marks[0]?.[0] ?? 0;
  if (first <= within) return 0;
  const from = first - 40;
  const space = text.indexOf(" ", from);
  return space >= 0 && space < first ? space + 1 : from;
}
