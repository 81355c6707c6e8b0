// Data that stays current: loaded from the API, loaded again when the ledger says that it changed.

import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, type News, follow, get } from "./api/client";

export interface Loaded<T> {
  data: T | undefined;
  error: string | undefined;
  reload: () => void;
}

/** Loads a path. What was shown stays until the new answer is there, so nothing jumps. */
export function useLoaded<T>(path: string): Loaded<T> {
  const [data, setData] = useState<T>();
  const [error, setError] = useState<string>();
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    get<T>(path, stop.signal)
      .then((answer) => {
        setData(answer);
        setError(undefined);
      })
      .catch((failure: unknown) => {
        if (stop.signal.aborted) return;
        setError(failure instanceof ApiError ? failure.message : "Bailiwick does not answer. Is `bailiwick up` running?");
      });
    return () => stop.abort();
  }, [path, turn]);
  const reload = useCallback(() => setTurn((turn) => turn + 1), []);
  return { data, error, reload };
}

type Listener = (news: News) => void;
const listeners = new Set<Listener>();

/** One stream for the whole page, however many parts listen. */
export function useStream(signedIn: boolean): boolean {
  const [connected, setConnected] = useState(false);
  useEffect(() => {
    if (!signedIn) return;
    const stop = new AbortController();
    void follow(stop.signal, (news) => listeners.forEach((listener) => listener(news)), setConnected);
    return () => stop.abort();
  }, [signedIn]);
  return connected;
}

/** Calls `listener` with whatever happens. */
export function useNews(listener: Listener): void {
  const current = useRef(listener);
  current.current = listener;
  useEffect(() => {
    const call: Listener = (news) => current.current(news);
    listeners.add(call);
    return () => {
      listeners.delete(call);
    };
  }, []);
}

/** Calls `reload` after news of some kind, at most every `pause` milliseconds. */
export function useReloadOn(kinds: News["event"][], reload: () => void, pause = 400): void {
  const timer = useRef<number>(undefined);
  useNews((news) => {
    if (!kinds.includes(news.event) && news.event !== "behind") return;
    timer.current ??= window.setTimeout(() => {
      timer.current = undefined;
      reload();
    }, pause);
  });
  useEffect(() => () => window.clearTimeout(timer.current), []);
}

/** The time, once a second. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, []);
  return now;
}
