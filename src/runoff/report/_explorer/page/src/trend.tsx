import { useExplorer } from "./context";
import { Chart } from "./chart";
import { signed } from "./format";
import { useAnswer } from "./hooks";
import { Answered, Empty } from "./states";
import type { Trend } from "./types";

/** What `watch` saw: does the second stage still help? */
export function Trends() {
  const answer = useAnswer<Trend>("api/trend");
  return (
    <section class="trend">
      <h2>Live traffic</h2>
      <Answered answer={answer} what="the trend">
        {(found) => <Shown found={found} />}
      </Answered>
    </section>
  );
}

function Shown({ found }: { found: Trend }) {
  const { state } = useExplorer();
  const series = found.series.filter((one) => one.points.length);
  return (
    <>
      <p class="lead" dir="auto">
        {found.statement}
      </p>
      {found.alarms.length > 0 && (
        <ul class="alarms" aria-label="Alarms">
          {found.alarms.map((alarm, index) => (
            <li key={index} class="warning" dir="auto">
              {typeof alarm === "string" ? alarm : `${alarm.at ? `${day(alarm.at)}: ` : ""}${alarm.sentence}`}
            </li>
          ))}
        </ul>
      )}
      {series.length ? (
        series.map((one) => (
          <figure key={one.name}>
            <figcaption dir="auto">{one.name}</figcaption>
            <Chart name={one.name} points={one.points} />
            <details>
              <summary>As a table</summary>
              <div class="scroll" tabIndex={0} role="region" aria-label={`${one.name} as a table`}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">When</th>
                      <th scope="col" class="number">
                        Value
                      </th>
                      <th scope="col" class="number">
                        Interval
                      </th>
                      <th scope="col" class="number">
                        Number
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {one.points.map((point) => (
                      <tr key={point.at}>
                        <td>{day(point.at)}</td>
                        <td class="number">{signed(point.value)}</td>
                        <td class="number">
                          {point.low === null ? "" : `${signed(point.low)} to ${signed(point.high)}`}
                        </td>
                        <td class="number">{point.n}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </details>
          </figure>
        ))
      ) : (
        <Empty>
          <p>
            Nothing was observed yet. {state.kind === "observations" && "Let `watch` see some traffic, then open this page again."}
          </p>
        </Empty>
      )}
    </>
  );
}

function day(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime())
    ? at
    : date.toLocaleString("en", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
}
