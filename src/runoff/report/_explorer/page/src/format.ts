/** Numbers as they are shown: the digits that matter, a true minus sign, and a dash for "not known". */

const MINUS = "\u2212";
export const NONE = "\u2013";

type Maybe = number | null | undefined;

const known = (value: Maybe): value is number => typeof value === "number" && Number.isFinite(value);

/** A measure between 0 and 1. */
export function measure(value: Maybe): string {
  return known(value) ? value.toFixed(3).replace("-", MINUS) : NONE;
}

/** A difference, always with its sign. */
export function signed(value: Maybe): string {
  if (!known(value)) return NONE;
  const digits = Math.abs(value).toFixed(3);
  return digits === "0.000" ? "0.000" : `${value < 0 ? MINUS : "+"}${digits}`;
}

/** The ends of an interval; one that rounds to 0 keeps the digits that say on which side it is. */
export function ends(low: Maybe, high: Maybe): string {
  const end = (one: Maybe) =>
    known(one) && one !== 0 && Math.abs(one) < 0.0005 ? `${one < 0 ? MINUS : "+"}${Math.abs(one).toFixed(4)}` : signed(one);
  return `${end(low)} to ${end(high)}`;
}

/** A moment in seconds since 1970 or as ISO 8601, by the reader's clock. */
export function moment(at: string | number): string {
  const date = new Date(typeof at === "number" ? 1000 * at : at);
  return Number.isNaN(date.getTime())
    ? String(at)
    : date.toLocaleString("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
}

/** A score on whatever scale. */
export function score(value: Maybe): string {
  if (!known(value)) return NONE;
  return value.toFixed(Math.abs(value) < 1 ? 3 : 2).replace("-", MINUS);
}

export function count(value: Maybe): string {
  return known(value) ? value.toLocaleString("en") : NONE;
}

export function percent(value: Maybe): string {
  return known(value) ? `${Math.round(100 * value)}%`.replace("-", MINUS) : NONE;
}

export function milliseconds(value: Maybe): string {
  if (!known(value)) return NONE;
  if (value >= 10_000) return `${(value / 1000).toFixed(0)}\u00a0s`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)}\u00a0s`;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)}\u00a0ms`;
}

/** -1, 0 or 1: what the colour of a difference says. */
export function direction(value: Maybe): "up" | "down" | "same" {
  if (!known(value) || Math.abs(value) < 0.0005) return "same";
  return value > 0 ? "up" : "down";
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** The name of a language code, where the browser knows it, or of a script such as "latin". */
export function language(code: string): string {
  if (/^[a-z]{4,}$/i.test(code)) return `${code} script`;
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
