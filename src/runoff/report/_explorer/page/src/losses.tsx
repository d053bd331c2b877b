import { useExplorer } from "./context";
import { address } from "./data";
import { count, measure, percent, plural } from "./format";
import { useAnswer } from "./hooks";
import { Answered, Empty } from "./states";
import type { Losses as Found } from "./types";

/** Where the missing quality went, stage by stage; each opens into the documents. */
export function Losses() {
  const { state, settings, saved, outdated } = useExplorer();
  const answer = useAnswer<Found>(address("api/losses", { settings }), saved);
  return (
    <section class="losses">
      <h2>Where {state.measure} is lost</h2>
      <Answered answer={answer} what="the losses" outdated={outdated}>
        {(found) => <Waterfall found={found} />}
      </Answered>
    </section>
  );
}

function Waterfall({ found }: { found: Found }) {
  const { state, go } = useExplorer();
  const most = found.stages.reduce((sum, one) => sum + Math.max(0, one.loss), 0) || 1;
  let sum = 0;
  if (!found.stages.length) return <Empty>{found.sentence || "No judged query, so no loss is known."}</Empty>;
  return (
    <>
      <p class="lead">{found.sentence}</p>
      {found.as_recorded && <p class="note">This file has the losses as they were recorded, whatever the settings.</p>}
      <div class="waterfall">
        {found.stages.map((stage) => {
          const from = Math.min(sum, sum + stage.loss); // what a threshold or a fault wins is below 0
          sum += stage.loss;
          return (
            <details key={stage.stage}>
              <summary>
                <span class="label" dir="auto">
                  {stage.label} {stage.documents ? <small>{plural(stage.documents, "document")}</small> : null}
                </span>
                <span class="bar" aria-hidden="true">
                  <i
                    class={stage.loss < 0 ? "won" : undefined}
                    style={{ left: `${(100 * Math.max(0, from)) / most}%`, width: `${(100 * Math.abs(stage.loss)) / most}%` }}
                  />
                </span>
                <span class="figure">
                  {measure(stage.loss)} <small>{percent(stage.share)}</small>
                </span>
              </summary>
              {stage.examples.length ? (
                <table>
                  <caption class="sr">The largest losses of {stage.label}</caption>
                  <thead>
                    <tr>
                      <th scope="col">Query</th>
                      <th scope="col">Document</th>
                      <th scope="col" class="number">
                        Loss
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {stage.examples.map((one) => (
                      <tr key={`${one.query_id}\n${one.doc_id}`}>
                        <td>
                          <button
                            type="button"
                            class="link"
                            dir="auto"
                            onClick={() => go({ view: "results", query: one.query_id, doc: one.doc_id })}
                          >
                            {one.text ?? one.query_id}
                          </button>
                        </td>
                        <td>
                          <span class="id" dir="auto">
                            {one.doc_id}
                          </span>{" "}
                          {one.where && <small dir="auto">{one.where}</small>}
                        </td>
                        <td class="number">{measure(one.loss)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              ) : (
                <p class="note">Nothing is lost here.</p>
              )}
            </details>
          );
        })}
        <div class="sum">
          <span class="label">Together</span>
          <span class="bar" aria-hidden="true">
            <i style={{ left: 0, width: `${(100 * Math.max(0, sum)) / most}%` }} />
          </span>
          <span class="figure">
            {measure(found.total)} <small />
          </span>
        </div>
      </div>
      <p class="note">
        Mean over {count(state.counts.judged)} judged queries
        {typeof found.ideal === "number" &&
          typeof found.achieved === "number" &&
          `: ${measure(found.achieved)} of ${measure(found.ideal)} achieved`}
        . Each loss counts once, at the stage where a relevant document had its last chance: the reranker is not
        blamed for one that no source found.
      </p>
      {found.notes?.map((note) => (
        <p key={note} class="note" dir="auto">
          {note}
        </p>
      ))}
    </>
  );
}
