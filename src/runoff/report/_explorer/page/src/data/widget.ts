import { refusal, Refused, type Data } from "./index";

/** The part of anywidget's model that is used here. */
export interface Model {
  send(content: unknown): void;
  on(event: "msg:custom", listener: (message: unknown) => void): void;
  off(event: "msg:custom", listener: (message: unknown) => void): void;
}

const PATIENCE = 120_000; // a kernel that is busy with another cell answers late

interface Reply {
  id: number;
  status: number;
  body: unknown;
}

let counter = 0; // one for the page: several views of a model hear each other's replies

/** Asks a notebook's kernel by custom messages. */
export function widget(model: Model): Data & { close(): void } {
  const waiting = new Map<number, (reply: Reply) => void>();
  const listen = (message: unknown) => {
    const reply = message as Reply;
    waiting.get(reply?.id)?.(reply);
    waiting.delete(reply?.id);
  };
  model.on("msg:custom", listen);
  return {
    kind: "widget",
    close: () => model.off("msg:custom", listen),
    ask<T>(method: "GET" | "POST", path: string, body?: unknown, signal?: AbortSignal) {
      const id = ++counter;
      return new Promise<T>((resolve, reject) => {
        const stop = (error: Error) => {
          clearTimeout(timer);
          waiting.delete(id);
          reject(error);
        };
        const timer = setTimeout(
          () => stop(new Refused("The kernel has not answered for two minutes. Restart it, or wait for the running cell and try again.", 0)),
          PATIENCE,
        );
        signal?.addEventListener("abort", () => stop(new DOMException("aborted", "AbortError")));
        waiting.set(id, (reply) => {
          clearTimeout(timer);
          if (reply.status >= 200 && reply.status < 300) resolve(reply.body as T);
          else reject(refusal(reply.status, reply.body));
        });
        model.send({ id, method, path, body: body ?? null });
      });
    },
  };
}
