import { refusal, Refused, type Data } from "./index";

/** Asks the server that this page came from. */
export function remote(): Data {
  return {
    kind: "remote",
    async ask<T>(method: "GET" | "POST", path: string, body?: unknown, signal?: AbortSignal) {
      let response: Response;
      try {
        response = await fetch(path, {
          method,
          ...(signal && { signal }),
          ...(method === "POST" && {
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(body ?? null),
          }),
        });
      } catch (error) {
        if (signal?.aborted) throw error;
        throw new Refused(
          "The explorer does not answer: its program has ended, or this computer slept. Start `runoff explore` again and open the address that it prints.",
          0,
        );
      }
      const found: unknown = await response.json().catch(() => null);
      if (!response.ok) throw refusal(response.status, found);
      return found as T;
    },
  };
}
