import type { Item, Knobs, QueryAnswer, QueryRow, QueryRows, Replay, Way } from "../types";
import { score } from "../format";
import { address, Refused, type Data } from "./index";

interface File {
  answers: Record<string, unknown>;
  /** The texts of documents, kept once for all queries. */
  texts?: Record<string, string>;
  replays: { body: Knobs; answer: Replay }[];
}

const KEPT = ["id", "query", "doc", "settings", "of"]; // parameters that name an answer

/** Answers from the data that the file itself holds. */
export function embedded(text: string): Data {
  const file = JSON.parse(text) as File;
  const own = (file.answers["api/state"] as { settings?: { key?: string } | null } | undefined)?.settings?.key ?? null;
  return {
    kind: "embedded",
    async ask<T>(method: "GET" | "POST", path: string, body?: unknown) {
      if (method === "POST") {
        if (path === "api/replay" && file.replays?.length) return nearest(file, body as Knobs) as T;
        throw new Refused(
          "This file cannot do that: it only holds what was computed when it was written. Open the recording with `runoff explore`.",
          501,
        );
      }
      const [name = "", query = ""] = path.split("?");
      const parameters = new URLSearchParams(query);
      if (name === "api/queries") return rows(file, parameters) as T;
      const parts = query.split("&").filter((part) => KEPT.includes(part.split("=")[0] ?? ""));
      const at = (kept: string[]) => file.answers[[name, kept.join("&")].filter(Boolean).join("?")] as T | undefined;
      const recorded = at(parts.filter((part) => !part.startsWith("settings=")));
      const settings = parameters.get("settings");
      const found = at(parts) ?? (recorded && { ...recorded, as_recorded: settings !== null && settings !== own });
      if (name === "api/query" && found) return filled(file, found as unknown as QueryAnswer) as T;
      if (found) return found;
      if (name === "api/document") {
        const way = wayOf(file, parameters.get("query") ?? "", parameters.get("doc") ?? "");
        if (way) return way as T;
      }
      throw new Refused(
        "This file does not hold that: it has the queries that changed most, and their first results. Open the recording with `runoff explore`.",
        404,
      );
    },
  };
}

/** The answer with the texts of its documents. */
function filled(file: File, answer: QueryAnswer): QueryAnswer {
  const fill = (items: Item[]) => items.map((item) => ({ ...item, text: item.text ?? file.texts?.[item.doc_id] ?? null }));
  return { ...answer, before: fill(answer.before), after: fill(answer.after) };
}

/** The way of a document that is among the results, read off them. */
function wayOf(file: File, query: string, doc: string): Way | null {
  const answer = file.answers[address("api/query", { id: query })] as QueryAnswer | undefined;
  const before = answer?.before.find((one) => one.doc_id === doc);
  const after = answer?.after.find((one) => one.doc_id === doc);
  const item = after ?? before;
  if (!item) return null;
  const way: Way["way"] = Object.entries(item.sources).map(([stage, place]) => ({
    stage,
    sentence: place ? `rank ${place.rank}, score ${score(place.score)}` : "not found",
    rank: place?.rank ?? null,
    score: place?.score ?? null,
  }));
  way.push({ stage: "fusion", sentence: `score ${score(item.fusion_score)}`, rank: item.fusion_rank, score: item.fusion_score });
  if (item.rerank_rank !== null || item.scored)
    way.push({ stage: "rerank", sentence: `score ${score(item.rerank_score)}`, rank: item.rerank_rank, score: item.rerank_score });
  const sentence = after
    ? `It is result ${after.rank}${item.fusion_rank === null ? "" : `, after place ${item.fusion_rank} in the fused order`}.`
    : `It was at place ${before!.rank} before, and is not among the first results afterwards.`;
  return { doc_id: doc, text: file.texts?.[doc] ?? null, grade: item.grade, way, sentence: item.fate ?? sentence };
}

function nearest(file: File, wanted: Knobs): Replay {
  const spread = Math.max(1, ...file.replays.map((one) => one.body.window ?? 0));
  const away = (a: number | null, b: number | null, scale = 1) =>
    a === b ? 0 : a === null || b === null ? 1 : Math.abs(a - b) / scale;
  const distance = (one: Knobs) =>
    away(one.window, wanted.window, spread) +
    away(one.blend, wanted.blend) +
    away(one.threshold, wanted.threshold) +
    Object.keys(wanted.weights).reduce(
      (sum, name) => sum + away(one.weights[name] ?? 0, wanted.weights[name] ?? 0),
      0,
    );
  const found = file.replays.reduce((best, one) => (distance(one.body) < distance(best.body) ? one : best));
  return { ...found.answer, body: found.body };
}

function rows(file: File, parameters: URLSearchParams): QueryRows {
  const held = file.answers["api/queries"] as QueryRows | undefined;
  if (held === undefined) return { total: 0, offset: 0, place: null, rows: [] };
  const replay = file.replays.find((one) => one.answer.settings === parameters.get("settings"));
  let found = held.rows;
  if (replay && parameters.get("settings"))
    found = found.map((row) => {
      const after = replay.answer.per_query[row.query_id] ?? row.after;
      if (after === null || row.after === null) return row;
      return {
        ...row,
        after,
        gain: row.before === null ? null : after - row.before,
        loss: row.loss === null ? null : row.loss + row.after - after,
      };
    });
  const words = (parameters.get("find") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length)
    found = found.filter((row) => {
      const named = [row.text ?? "", row.query_id, ...row.slices].join("\n").toLowerCase();
      return words.every((one) => {
        const condition = CONDITION.exec(one);
        return condition ? fits(row, condition) : named.includes(one);
      });
    });
  const slice = parameters.get("slice");
  if (slice) found = found.filter((row) => row.slices.includes(slice));
  const language = parameters.get("language");
  if (language) found = found.filter((row) => row.language === language);
  const only = parameters.get("only");
  const kept = only ? KINDS[only] : undefined;
  if (kept) found = found.filter(kept);
  const key = COLUMNS[parameters.get("sort") ?? "gain"] ?? COLUMNS.gain!;
  const sign = parameters.get("order") === "asc" ? 1 : -1;
  const ordered = [...found].sort((a, b) => compare(key(a), key(b), sign));
  const limit = Number(parameters.get("limit") ?? 100);
  const at = ordered.findIndex((row) => row.query_id === parameters.get("around"));
  const offset = at < 0 ? Number(parameters.get("offset") ?? 0) : at - (at % limit);
  return { total: ordered.length, offset, place: at < 0 ? null : at, rows: ordered.slice(offset, offset + limit) };
}

/** As the table of a server understands it; an unknown number fits no condition. */
const CONDITION = /^(gain|loss|before|after|words|unjudged|latency)([<>]=?)(-?(?:\d+\.?\d*|\.\d+))(%?)$/;

function fits(row: QueryRow, [, name, sign, number, percent]: RegExpExecArray): boolean {
  const numbers: Record<string, number | null> = {
    gain: row.gain,
    loss: row.loss,
    before: row.before,
    after: row.after,
    words: row.length,
    unjudged: row.unjudged,
    latency: row.latency_ms,
  };
  const value = numbers[name!] ?? null;
  const end = Number(number) / (percent ? 100 : 1);
  if (value === null) return false;
  return sign === "<" ? value < end : sign === "<=" ? value <= end : sign === ">" ? value > end : value >= end;
}

const TIE = 1e-9;

const KINDS: Record<string, (row: QueryRow) => boolean> = {
  helped: (row) => (row.gain ?? 0) > TIE,
  harmed: (row) => (row.gain ?? 0) < -TIE,
  same: (row) => row.gain !== null && Math.abs(row.gain) <= TIE,
  degraded: (row) => row.outcome !== null && row.outcome !== "complete",
  unjudged: (row) => !row.judged || (row.unjudged ?? 0) > 0,
};

const COLUMNS: Record<string, (row: QueryRow) => number | string | null> = {
  gain: (row) => row.gain,
  loss: (row) => row.loss,
  length: (row) => row.length,
  language: (row) => row.language,
  unjudged: (row) => row.unjudged,
  latency: (row) => row.latency_ms,
  text: (row) => row.text ?? row.query_id,
  time: (row) => row.time,
};

function compare(a: number | string | null, b: number | string | null, sign: number): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // unknown ones last
  if (typeof a === "string") return sign * a.localeCompare(String(b));
  return sign * (a - (b as number));
}
