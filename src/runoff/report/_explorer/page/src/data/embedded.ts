import type { Knobs, QueryRow, QueryRows, Replay } from "../types";
import { Refused, type Data } from "./index";

interface File {
  answers: Record<string, unknown>;
  replays: { body: Knobs; answer: Replay }[];
}

const KEPT = ["id", "query", "doc", "settings", "of"]; // parameters that name an answer

/** Answers from the data that the file itself holds. */
export function embedded(text: string): Data {
  const file = JSON.parse(text) as File;
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
      const found = file.answers[[name, parts.join("&")].filter(Boolean).join("?")];
      if (found === undefined)
        throw new Refused(
          parameters.get("settings")
            ? "This file does not hold that answer for these settings. Reset the settings, or open the recording with `runoff explore`."
            : "This file does not hold that answer. Open the recording with `runoff explore`.",
          404,
        );
      return found as T;
    },
  };
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
  if (held === undefined) return { total: 0, rows: [] };
  const replay = file.replays.find((one) => one.answer.settings === parameters.get("settings"));
  let found = held.rows;
  if (replay && parameters.get("settings"))
    found = found.map((row) => {
      const after = replay.answer.per_query[row.query_id] ?? row.after;
      return { ...row, after, gain: after === null || row.before === null ? null : after - row.before };
    });
  const find = parameters.get("find")?.toLowerCase();
  if (find)
    found = found.filter((row) => `${row.query_id}\n${row.text ?? ""}`.toLowerCase().includes(find));
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
  const offset = Number(parameters.get("offset") ?? 0);
  const limit = Number(parameters.get("limit") ?? 100);
  return { total: ordered.length, rows: ordered.slice(offset, offset + limit) };
}

const KINDS: Record<string, (row: QueryRow) => boolean> = {
  helped: (row) => (row.gain ?? 0) > 0,
  harmed: (row) => (row.gain ?? 0) < 0,
  same: (row) => row.gain === 0,
  degraded: (row) => row.outcome !== null && row.outcome !== "complete",
  unjudged: (row) => (row.unjudged ?? 0) > 0,
};

const COLUMNS: Record<string, (row: QueryRow) => number | string | null> = {
  gain: (row) => row.gain,
  loss: (row) => row.loss,
  length: (row) => row.length,
  language: (row) => row.language,
  unjudged: (row) => row.unjudged,
  latency: (row) => row.latency_ms,
  text: (row) => row.text ?? row.query_id,
};

function compare(a: number | string | null, b: number | string | null, sign: number): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1; // unknown ones last
  if (typeof a === "string") return sign * a.localeCompare(String(b));
  return sign * (a - (b as number));
}
