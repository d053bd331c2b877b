/** The way to the answers: a server, a notebook's kernel, or the file itself. */
export interface Data {
  kind: "remote" | "widget" | "embedded";
  ask<T>(method: "GET" | "POST", path: string, body?: unknown, signal?: AbortSignal): Promise<T>;
}

/** An error with the sentence that the reader gets. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** An address with the parameters that have a value, in the order given. */
export function address(name: string, parameters: Record<string, string | number | null | undefined>): string {
  const parts = Object.entries(parameters)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([key, value]) => `${key}=${encodeURIComponent(value as string | number)}`);
  return parts.length ? `${name}?${parts.join("&")}` : name;
}

/** The error of an answer that is not a success. */
export function refusal(status: number, body: unknown): Refused {
  const said = (body as { error?: unknown } | null)?.error;
  return new Refused(
    typeof said === "string" ? said : `The explorer answered with status ${status}. Look at its terminal.`,
    status,
  );
}
