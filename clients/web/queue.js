// Verdicts on their way: kept in the browser until the daemon has answered for each, and sent again with the same
// request id until it does. One entry a key, so that two tabs do not write over each other.
import { post, ApiError, SignIn, wait } from './api.js';

const BATCH = 100;
const LATER = new Set(['busy', 'unavailable', 'internal', 'unauthenticated', 'unknown']);

const uuid = () => {
  if (crypto.randomUUID) return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  return [...b].map((v) => v.toString(16).padStart(2, '0')).join('');
};

export class Queue {
  // onChange(unsent), onAnswer(verdict, result, learner)
  constructor(runId, who, onChange, onAnswer) {
    this.onChange = onChange;
    this.onAnswer = onAnswer;
    this.prefix = `pmpod.verdict.${runId}.${who}.`;
    this.count = 0;
    this.sending = null;
    this.stopped = false;
    this.tried = new Set();
  }

  keys() {
    const found = [];
    for (let i = 0; i < localStorage.length; i++) {
      const k = localStorage.key(i);
      if (k.startsWith(this.prefix)) found.push(k);
    }
    return found.sort();
  }

  entries() { return this.keys().map((k) => [k, JSON.parse(localStorage.getItem(k))]); }
  // Items that were judged, but that the daemon may not know of yet.
  pending() { return new Set(this.entries().filter(([, v]) => v.judgement !== 'withdraw').map(([, v]) => v.item)); }
  size() { return this.keys().length; }

  add(item, judgement, confidence) {
    const verdict = { request_id: uuid(), item, judgement };
    if (judgement === 'accept' || judgement === 'reject') verdict.confidence = confidence;
    const order = `${String(Date.now()).padStart(14, '0')}${String(this.count++ % 100000).padStart(5, '0')}`;
    const k = `${this.prefix}${order}.${verdict.request_id}`;
    localStorage.setItem(k, JSON.stringify(verdict));
    this.onChange(this.size());
    this.flush();
    return k;
  }

  // One that was never sent can simply be forgotten.
  takeBack(k) {
    if (this.tried.has(k) || localStorage.getItem(k) === null) return false;
    localStorage.removeItem(k);
    this.onChange(this.size());
    return true;
  }

  stop() { this.stopped = true; }

  flush() {
    if (!this.sending) this.sending = this.run().finally(() => { this.sending = null; });
    return this.sending;
  }

  async run() {
    await null; // keys that come in one burst go in one batch
    let pause = 0;
    while (!this.stopped && this.size() > 0) {
      if (pause) await wait(pause);
      try {
        pause = (await this.sendBatch()) ? 0 : 500;
      } catch (error) {
        if (error instanceof SignIn) return; // the view asks, and flushes again
        if (error instanceof ApiError && error.status >= 400 && error.status < 500 && ![401, 429].includes(error.status)) {
          this.onAnswer(null, { code: error.code, message: error.message }, null);
        }
        pause = Math.min(5000, Math.max(500, pause * 2, error.retryMs || 0));
      }
    }
  }

  // At most one verdict of an item in a batch: a later one must not overtake an earlier one.
  async sendBatch() {
    const items = new Set();
    const batch = this.entries().filter(([, v]) => !items.has(v.item) && items.add(v.item)).slice(0, BATCH);
    for (const [k] of batch) this.tried.add(k);
    const said = await post('labeler', '/api/verdicts', { verdicts: batch.map(([, v]) => v) });
    let done = 0;
    batch.forEach(([k, v], i) => {
      const result = said.results[i];
      if (!result || LATER.has(result.code)) return;
      localStorage.removeItem(k);
      this.tried.delete(k);
      done++;
      this.onAnswer(v, result, said.learner);
    });
    this.onChange(this.size());
    return done > 0;
  }
}
