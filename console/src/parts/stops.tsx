// Stops agents, servers or everything, and lets them go on.

import { useCallback, useState } from "react";
import { ApiError, type Stop, type Stops, post } from "../api/client";
import { ago, moment } from "../format";
import { useLoaded, useReloadOn } from "../live";

export interface StopState {
  stops: Stop[];
  failure: string;
  set: (of: string, stopped: boolean) => void;
}

/** What is stopped. */
export function useStops(): StopState {
  const { data, reload } = useLoaded<Stops>("/api/stops");
  const [failure, setFailure] = useState("");
  useReloadOn(["call"], reload, 2000);
  const set = useCallback(
    (of: string, stopped: boolean) => {
      post<Stops>("/api/stops", { of, stopped, because: "" })
        .then(() => setFailure(""))
        .catch((error: unknown) => setFailure(error instanceof ApiError ? error.message : "Bailiwick does not answer; nothing was stopped."))
        .finally(reload);
    },
    [reload],
  );
  return { stops: data?.stops ?? [], failure, set };
}

/** Stops after a second press, so that a slip of the mouse stops nothing. */
export function StopButton({ of, name, state }: { of: string; name: string; state: StopState }) {
  const [sure, setSure] = useState(false);
  if (state.stops.some((stop) => stop.of === of)) return null;
  if (!sure) {
    return (
      <button type="button" className="button stop" aria-label={`Stop ${name}`} onClick={() => setSure(true)}>
        {of === "everything" ? "Stop everything" : "Stop"}
      </button>
    );
  }
  const decide = (stopped: boolean) => () => {
    setSure(false);
    if (stopped) state.set(of, true);
  };
  return (
    <span className="sure" role="group" aria-label={`Stop ${name}?`}>
      <button type="button" className="button stop now" onClick={decide(true)} autoFocus>
        {of === "everything" ? "Deny every call" : `Deny every call of ${name}`}
      </button>
      <button type="button" className="button" onClick={decide(false)}>
        Cancel
      </button>
    </span>
  );
}

/** What is stopped, each with the way back. */
export function StopBanner({ state, now }: { state: StopState; now: number }) {
  return (
    <div role="status">
      {state.failure !== "" && <p className="failure">{state.failure}</p>}
      {state.stops.map((stop) => (
        <div className="stopped" key={stop.of}>
          <p>
            <strong>{stop.of === "everything" ? "Everything" : stop.of} is stopped.</strong> {stop.asks ? "A person is asked about each call." : "Every call is denied."}{" "}
            <span className="muted">
              {ago(stop.since, now)}, by {stop.by}
              {stop.because !== "" && <>: {stop.because}</>}
              {stop.until != null && <>; until {moment(stop.until)}</>}
            </span>
          </p>
          <button type="button" className="button" aria-label={`Resume ${stop.of}`} onClick={() => state.set(stop.of, false)}>
            Resume
          </button>
        </div>
      ))}
    </div>
  );
}
