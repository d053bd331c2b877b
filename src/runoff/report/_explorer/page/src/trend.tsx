import { useExplorer } from "./context";
import { Chart } from "./chart";
import { count, ends, moment, percent, signed } from "./format";
import { useAnswer } from "./hooks";
import { Answered, Empty } from "./states";
import type { Trend } from "./types";

/** What `watch` saw: does the second stage still help? */
export function Trends() {
  const answer = useAnswer<Trend>("api/trend");
  return (
    <section class="trend">
      <h2>Does the second stage help live traffic?</h2>
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
      {!found.alarms.includes(found.statement) && (
        <p class="lead" dir="auto">
          {found.statement}
        </p>
      )}
      {found.alarms.length > 0 && (
        <ul class="alarms" aria-label="Alarms">
          {found.alarms.map((alarm, index) => (
            <li key={index} class="warning" dir="auto">
              {alarm}
            </li>
          ))}
        </ul>
      )}
      {series.length ? (
        series.map((one) => (
          <figure key={one.name}>
            <figcaption dir="auto">{one.name}</figcaption>
            <Chart name={one.name} points={one.points} />
            <p class="note">
              Above 0 the second stage helps, below 0 it harms. The line is the mean of all graded queries up to that
              time; the band holds the true mean with {percent(one.confidence)} confidence, however often you look. At
              1 it would turn answers without a relevant result into perfect ones.
            </p>
            <details>
              <summary>As a table</summary>
              <div class="scroll" tabIndex={0} role="region" aria-label={`${one.name} as a table`}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">When</th>
                      <th scope="col" class="number">
                        Difference
                      </th>
                      <th scope="col" class="number">
                        {percent(one.confidence)} interval
                      </th>
                      <th scope="col" class="number">
                        Queries
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {one.points.map((point) => (
                      <tr key={point.at}>
                        <td>{moment(point.at)}</td>
                        <td class="number">{signed(point.value)}</td>
                        <td class="number">
                          {ends(point.low, point.high)}
                        </td>
                        <td class="number">{count(point.n)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </details>
          </figure>
        ))
      ) : (
        state.counts.queries === 0 && <Empty>Nothing was observed yet. Let `watch` see some traffic, then open this page again.</Empty>
      )}
      {found.slices.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="By slice">
          <table>
            <caption>By slice</caption>
            <thead>
              <tr>
                <th scope="col">Slice</th>
                <th scope="col">The second stage</th>
                <th scope="col" class="number">
                  Difference
                </th>
                <th scope="col" class="number">
                  Interval
                </th>
                <th scope="col" class="number">
                  Queries
                </th>
              </tr>
            </thead>
            <tbody>
              {found.slices.map((one) => (
                <tr key={one.name}>
                  <td dir="auto">{one.name}</td>
                  <td>{one.decision}</td>
                  <td class="number">{signed(one.value)}</td>
                  <td class="number">{ends(one.low, one.high)}</td>
                  <td class="number">{count(one.n)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.notes.map((note) => (
        <p key={note} class="note" dir="auto">
          {note}
        </p>
      ))}
    </>
  );
}
